"""Who signs the pictures: the operator, with a certificate that viewers may know, or this installation."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from generation.marking import own_authority
from generation.marking.credentials import Identity, UnusableKey

FOLDER = "credentials"  # in DATA_DIR: the own certificate and its key
NAME = "a Cartolina installation"
NOTICE = _(
    "Pictures are signed with a certificate that this installation has made for itself. They are valid, but "
    "viewers call their signer unknown. For one that viewers know, the C2PA conformance programme "
    "(https://c2pa.org/conformance/) lists the authorities that sell certificates. Put the chain and the key "
    "where only the server can read them, and set C2PA_CERTIFICATE and C2PA_KEY."
)


def identity() -> Identity:
    """Raises UnusableKey, or OSError if a file can't be read."""
    chain, key = settings.C2PA_CERTIFICATE, settings.C2PA_KEY
    if not chain:
        folder = own_folder()
        chain, key = folder / own_authority.CHAIN, folder / own_authority.KEY
    return _read(Path(chain), Path(key), settings.C2PA_TIMESTAMP_URL)


@cache
def _read(chain: Path, key: Path, timestamps: str) -> Identity:
    return Identity(chain.read_bytes(), key.read_bytes(), timestamps)


def own_folder() -> Path:
    """Made at the first start."""
    return own_authority.ensure(Path(settings.DATA_DIR) / FOLDER, NAME)


def own_chains() -> list[bytes]:
    """The certificates of ours, the one in use first. An installation's own one signed pictures before the
    operator had another."""
    chains, own = [identity().chain], Path(settings.DATA_DIR) / FOLDER / own_authority.CHAIN
    if settings.C2PA_CERTIFICATE and own.exists():
        chains.append(own.read_bytes())
    return chains


def problem() -> str:
    """Why nothing can be signed; empty if all is well."""
    try:
        identity().algorithm  # noqa: B018  raises
    except OSError as error:
        return f"C2PA_CERTIFICATE or C2PA_KEY can't be read: {error.filename}: {error.strerror}"
    except UnusableKey as error:
        return f"C2PA_CERTIFICATE and C2PA_KEY can't be used: {error}"
    return ""


def notice() -> str:
    """What the operator may do better; empty if nothing."""
    return "" if settings.C2PA_CERTIFICATE else str(NOTICE)


def notice_in_admin(request) -> dict:
    """A context processor; the notice is made by the template that shows it."""
    return {"signing_notice": notice}
