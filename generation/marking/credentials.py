"""Content Credentials (C2PA): signed metadata that says which software made a picture, and with which models.

A viewer checks the signature against the picture's bytes, so that a change is found. c2pa is imported where
it is used: only a process that signs or checks needs it.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import chain
from pathlib import Path

from generation import VERSION
from generation.marking.source_type import SOURCE_TYPE

NAME = "Cartolina"
ABSENT, INVALID, VALID = "absent", "invalid", "valid"
PARENT, PLACE = "parent", "place"  # labels of ingredients
FORMATS = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
# No picture in the picture, and no look into the network.
SETTINGS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
}


class UnusableKey(ValueError):
    """The text says what is wrong with key or certificate."""


@dataclass(frozen=True)
class Identity:
    """Who signs. ``chain``: PEM, the signer's certificate first, then those of the authorities that issued
    it."""

    chain: bytes
    key: bytes
    timestamps: str = ""  # the address of a time-stamping service

    @cached_property
    def algorithm(self) -> str:
        """C2PA's word for the key's kind. Raises UnusableKey, also if the certificate isn't the key's."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        try:
            key = serialization.load_pem_private_key(self.key, password=None)
            certificate = x509.load_pem_x509_certificates(self.chain)[0]
        except (ValueError, TypeError) as error:
            raise UnusableKey(f"can't be read as PEM without a password ({error})") from error
        if certificate.public_key() != key.public_key():
            raise UnusableKey("the first certificate is not that of the key")
        if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
            return CURVES[key.curve.name]
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return "ed25519"
        if isinstance(key, rsa.RSAPrivateKey):
            return "ps256"
        raise UnusableKey("the key is neither of RSA nor Ed25519 nor of the curves P-256, P-384, P-521")


def sign(source: Path, target: Path, manifest: dict, who: Identity, parent: Path | None = None) -> None:
    """A copy of a picture with Content Credentials: whole or not at all. Its pixels are those of ``source``.

    ``parent`` is the signed picture that it was made from, whose credentials go into it. Raises
    c2pa.C2paError, also if the time-stamping service doesn't answer.
    """
    import c2pa

    info = c2pa.C2paSignerInfo(
        alg=who.algorithm.encode(),
        sign_cert=who.chain,
        private_key=who.key,
        ta_url=who.timestamps.encode() or None,
    )
    kind, content = FORMATS[source.suffix.lower()], io.BytesIO(source.read_bytes())
    with c2pa.Context.from_dict(SETTINGS) as context, c2pa.Builder(manifest, context) as builder:
        if parent:
            described = {"title": "picture", "relationship": "parentOf", "label": PARENT}
            with parent.open("rb") as file:
                builder.add_ingredient(described, FORMATS[parent.suffix.lower()], file)
        signed = io.BytesIO()
        with c2pa.Signer.from_info(info) as signer:
            builder.sign(signer, kind, content, signed)
    aside = target.with_name(f"{target.name}.signing")
    aside.write_bytes(signed.getvalue())
    os.replace(aside, target)


def made_manifest(record: dict, place_hash: str, now: datetime) -> dict:
    """Of a picture that the models have made. ``record`` is the public one, of its text chunk;
    ``place_hash`` the SHA-256 of the place's photograph."""
    made = {"softwareAgent": _agent(), "digitalSourceType": SOURCE_TYPE, "when": now.isoformat()}
    placed = {"action": "c2pa.placed", "parameters": {"ingredientIds": [PLACE]}}
    steps = [
        {
            "action": "c2pa.edited",
            "description": f"step {step['index']}, {step['step']}",
            "softwareAgent": {"name": ", ".join(step["models"])},
        }
        for step in record["steps"]
    ]
    place = {
        "title": "the place's photograph",
        "relationship": "componentOf",
        "instance_id": f"sha256:{place_hash}",
        "label": PLACE,
    }
    return _manifest([{"action": "c2pa.created", **made}, placed, *steps]) | {"ingredients": [place]}


def derived_manifest(actions: Sequence[str]) -> dict:
    """Of a picture that was made from a signed one. ``actions``: C2PA's words, such as c2pa.resized."""
    opened = {"action": "c2pa.opened", "parameters": {"ingredientIds": [PARENT]}}
    return _manifest([opened, *({"action": action, "softwareAgent": _agent()} for action in actions)])


def _agent() -> dict:
    return {"name": NAME, "version": VERSION}


def _manifest(actions: list[dict]) -> dict:
    actions_assertion = {"label": "c2pa.actions.v2", "data": {"actions": actions}}
    return {"claim_generator_info": [_agent()], "assertions": [actions_assertion]}


@dataclass(frozen=True)
class Found:
    """What a picture's Content Credentials say. ``state``: ABSENT, INVALID or VALID."""

    state: str
    ours: bool = False  # with one of our certificates
    signer: str = ""
    made_at: str = ""
    made_by: str = ""


def read(content: bytes, kind: str, own_chains: Sequence[bytes]) -> Found:
    """``kind``: a MIME type. ``own_chains``: the certificates that we sign with, or have signed with."""
    import c2pa

    anchors = b"\n".join(own_chains).decode()
    try:
        with (
            c2pa.Context.from_dict(SETTINGS | {"trust": {"user_anchors": anchors}}) as context,
            c2pa.Reader(kind, io.BytesIO(content), context=context) as reader,
        ):
            told, state = json.loads(reader.json()), reader.get_validation_state()
    except c2pa.C2paError as error:
        return Found(ABSENT if isinstance(error, c2pa.C2paError.ManifestNotFound) else INVALID)
    active = told["manifests"][told["active_manifest"]]
    signature = active.get("signature_info", {})
    by = next(_objects(active.get("claim_generator_info")), {})
    ours = state == "Trusted" and signature.get("cert_serial_number") in _serials(own_chains)
    return Found(
        state=INVALID if state == "Invalid" else VALID,
        ours=ours,
        signer=_text(signature, "common_name") or _text(signature, "issuer"),
        made_at=_text(signature, "time") or _claimed_time(told),
        made_by=" ".join(filter(None, (_text(by, "name"), _text(by, "version")))),
    )


# Everybody may sign a manifest, and write JSON of any form into it.


def _objects(found: object) -> Iterator[dict]:
    return (one for one in found if isinstance(one, dict)) if isinstance(found, list) else iter(())


def _text(found: dict, field: str) -> str:
    return found[field] if isinstance(found.get(field), str) else ""


def _serials(chains: Sequence[bytes]) -> set[str]:
    """Of the first certificate of each chain: its authority may have signed other people's."""
    from cryptography import x509

    return {str(x509.load_pem_x509_certificates(chain)[0].serial_number) for chain in chains}


def _claimed_time(told: dict) -> str:
    """When the picture was made, as its maker says without a witness."""
    for manifest in told["manifests"].values():
        said = (assertion.get("data") for assertion in _objects(manifest.get("assertions")))
        actions = (data.get("actions") for data in said if isinstance(data, dict))
        for action in chain.from_iterable(map(_objects, actions)):
            if action.get("action") == "c2pa.created" and _text(action, "when"):
                return action["when"]
    return ""
