"""Webhooks over https: the certificate is checked against the name, the connection goes to the address that
was checked, and no redirect is followed."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.harness.receivers import receiving, status
from diffuser_api.webhooks import guarded_post
from tests.webhooks.look_ups import names

LOCAL = ["127.0.0.0/8"]
HOST = "front.example"
DAY = timedelta(days=1)


class Authority:
    """Makes certificates in ``folder``; its own is ``file``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "authority.pem"
        self.key, self.name = ec.generate_private_key(ec.SECP256R1()), _name("An authority")
        of_itself = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        made = _begun(self.name, self.name, self.key, DAY)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        made = made.add_extension(of_itself, critical=False).add_extension(SIGNS, critical=True)
        self.of_issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_itself)
        self.file.write_bytes(_pem(made.sign(self.key, hashes.SHA256())))

    def server(self, common: str, *others: x509.GeneralName, ends: timedelta = DAY) -> ssl.SSLContext:
        """Of a server whose certificate has these names, and ends so long from now."""
        key, file = ec.generate_private_key(ec.SECP256R1()), self.folder / "server.pem"
        made = _begun(_name(common), self.name, key, ends).add_extension(self.of_issuer, critical=False)
        if others:
            made = made.add_extension(x509.SubjectAlternativeName(others), critical=False)
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(secret + _pem(made.sign(self.key, hashes.SHA256())))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


SIGNS = x509.KeyUsage(*(use == "key_cert_sign" for use in (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
    "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
)))  # fmt: skip


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _begun(subject: x509.Name, issuer: x509.Name, key, ends: timedelta) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    return made.not_valid_before(now - 2 * DAY).not_valid_after(now + ends)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def authority(tmp_path, monkeypatch):
    """The one that this process trusts."""
    made = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return made


def post(receiver, host: str = HOST, networks=LOCAL) -> int:
    return guarded_post.post(f"https://{host}:{receiver.port}/hook", b"{}", {}, False, networks)


DNS = x509.DNSName


def test_a_certificate_is_checked_against_the_name_not_the_address(authority, monkeypatch):
    context, seen = authority.server(HOST, DNS(HOST)), []
    context.sni_callback = lambda connection, name, _: seen.append(name)
    names(monkeypatch, ["127.0.0.1"])
    with receiving(status(200), context) as receiver:
        assert post(receiver) == 200
        with pytest.raises(guarded_post.NotPosted, match="CertificateVerification|certificate"):
            post(receiver, "other.example")
    assert seen == [HOST, "other.example"] and len(receiver.requests) == 1
    assert f"Host: {HOST}:{receiver.port}\r\n".encode() in receiver.requests[0]


NOT_TRUSTED = "certificate verify failed"
WRONG = {
    "of the address alone": ("127.0.0.1", [x509.IPAddress(ip_address("127.0.0.1"))], DAY),
    "of another name": ("other.example", [DNS("other.example")], DAY),
    "of a name below": (f"a.{HOST}", [DNS(f"a.{HOST}"), DNS(f"*.{HOST}")], DAY),
    "whose name is not among those that count": (HOST, [DNS("other.example")], DAY),
    "that has ended": (HOST, [DNS(HOST)], -DAY),
}


@pytest.mark.parametrize(("common", "others", "ends"), WRONG.values(), ids=WRONG)
def test_a_wrong_certificate_gets_no_message(common, others, ends, authority, monkeypatch):
    names(monkeypatch, ["127.0.0.1"])
    wrong = authority.server(common, *others, ends=ends)
    with receiving(status(200), wrong) as receiver, pytest.raises(guarded_post.NotPosted, match=NOT_TRUSTED):
        post(receiver)
    assert receiver.requests == []


def test_a_certificate_of_an_unknown_authority_gets_no_message(authority, tmp_path, monkeypatch):
    (tmp_path / "unknown").mkdir()
    names(monkeypatch, ["127.0.0.1"])
    wrong = Authority(tmp_path / "unknown").server(HOST, DNS(HOST))
    with receiving(status(200), wrong) as receiver, pytest.raises(guarded_post.NotPosted, match=NOT_TRUSTED):
        post(receiver)
    assert receiver.requests == []


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(authority, monkeypatch):
    """The name means another host from the second look-up on. Both have the name's certificate and the same
    port, and both may be reached: so only the address tells them apart."""
    context = authority.server(HOST, DNS(HOST))
    asked = names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with (
        receiving(status(200), context) as checked,
        receiving(status(200), context, "127.0.0.2", checked.port) as other,
    ):
        assert post(checked) == 200
        assert asked == [HOST]
        assert (len(checked.requests), other.requests) == (1, [])
        assert post(checked) == 200  # a new message, and a new look-up
        assert asked == [HOST, HOST]
        assert (len(checked.requests), len(other.requests)) == (1, 1)


def test_a_name_that_now_means_a_private_address_is_not_connected_to(authority, monkeypatch):
    context = authority.server(HOST, DNS(HOST))
    asked = names(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])
    with (
        receiving(status(200), context) as receiver,
        receiving(status(200), context, "127.0.0.2", receiver.port) as inside,
    ):
        networks = ["127.0.0.1/32"]
        assert post(receiver, networks=networks) == 200
        with pytest.raises(guarded_post.NotPosted, match=r"127\.0\.0\.2, which is not a public address"):
            post(receiver, networks=networks)
    assert asked == [HOST, HOST] and inside.requests == [] and len(receiver.requests) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_no_redirect_is_followed(scheme, code, authority, monkeypatch):
    context = authority.server(HOST, DNS(HOST))
    asked = names(monkeypatch, ["127.0.0.1"])
    with receiving(status(200), context if scheme == "https" else None) as inside:
        to = f"Location: {scheme}://{HOST}:{inside.port}/\r\n"
        with receiving(status(code, to), context) as receiver:
            assert post(receiver) == code
        assert len(receiver.requests) == 1 and receiver.requests[0].startswith(b"POST /hook HTTP/1.1\r\n")
    assert inside.requests == [] and asked == [HOST]
