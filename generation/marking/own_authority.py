"""A certificate of one's own, for installations whose operator has none that viewers know.

A small authority signs one certificate and is then forgotten: its key is never written. So nobody can make a
second certificate that looks like this installation's. The rules for the certificates are C2PA's.
"""

from __future__ import annotations

import os
import secrets
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

CHAIN, KEY = "certificate.pem", "key.pem"
YEARS = 20
EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"  # the purpose that C2PA asks of a certificate


def ensure(folder: Path, name: str) -> Path:
    """The folder with the chain (the certificate first, then its authority's) and the key.

    It is made whole under another name and then renamed, so that two processes that start at the same time
    agree on one.
    """
    if folder.exists():
        return folder
    aside = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}")
    aside.mkdir(parents=True, mode=0o700)
    try:
        chain, key = _make(name)
        for file, content in ((CHAIN, chain), (KEY, key)):
            descriptor = os.open(aside / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as target:
                target.write(content)
                target.flush()
                os.fsync(target.fileno())
        os.rename(aside, folder)
    except OSError:
        if not folder.exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _make(name: str) -> tuple[bytes, bytes]:
    """A chain and its key, both PEM."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate(f"{name} own authority", authority_key.public_key(), authority_key, None)
    leaf = _certificate(name, key.public_key(), authority_key, authority)
    pem = serialization.Encoding.PEM
    chain = leaf.public_bytes(pem) + authority.public_bytes(pem)
    written = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return chain, written


def _certificate(name: str, public_key, signing_key, issuer):
    """``issuer`` None: the authority's own certificate, which it signs itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import NameOID

    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cartolina"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )
    is_authority, now = issuer is None, datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if is_authority else issuer.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # other clocks may be behind
        .not_valid_after(now + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()), critical=False
        )
        .add_extension(_usage(is_authority), critical=True)
    )
    if not is_authority:
        purpose = x509.ExtendedKeyUsage([x509.ObjectIdentifier(EMAIL_PROTECTION)])
        builder = builder.add_extension(purpose, critical=True)
    return builder.sign(signing_key, hashes.SHA256())


def _usage(is_authority: bool):
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        **dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        ),
    )
