"""The certificate and key that sign the pictures: the operator's, or the installation's own."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from generation.marking import own_authority
from generation.marking.credentials import Identity, UnusableKey

FOLDER = "credentials"  # in DATA_DIR: the installation's own certificate and its key
NAME = "a Cartolina installation"
NOTICE = _(
    "Pictures are signed with a certificate that this installation has made for itself. They are valid, but "
    "viewers call their signer unknown. For one that viewers know, the C2PA conformance programme "
    "(https://c2pa.org/conformance/) lists the authorities that sell certificates. Put the chain and the key "
    "where only the server can read them, and set C2PA_CERTIFICATE and C2PA_KEY."
)


def identity() -> Identity:
    """The certificate and key that sign. Raises UnusableKey, or OSError if a file can't be read."""
    chain, key = settings.C2PA_CERTIFICATE, settings.C2PA_KEY
    if not chain:
        folder = own_folder()
        chain, key = folder / own_authority.CHAIN, folder / own_authority.KEY
    return _read(Path(chain), Path(key), settings.C2PA_TIMESTAMP_URL)


@cache
def _read(chain: Path, key: Path, timestamps: str) -> Identity:
    return Identity(chain.read_bytes(), key.read_bytes(), timestamps)


def own_folder() -> Path:
    """The folder with the installation's own certificate, which is made at the first start."""
    return own_authority.ensure(Path(settings.DATA_DIR) / FOLDER, NAME)


def own_chains() -> list[bytes]:
    """All certificates of this installation, the one in use first. If the operator has set another
    certificate, the installation's own may have signed earlier pictures."""
    chains, own = [identity().chain], Path(settings.DATA_DIR) / FOLDER / own_authority.CHAIN
    if settings.C2PA_CERTIFICATE and own.exists():
        chains.append(own.read_bytes())
    return chains


def problem() -> str:
    """A sentence if pictures can't be signed; empty if they can."""
    try:
        identity().algorithm  # noqa: B018  raises
    except OSError as error:
        return f"C2PA_CERTIFICATE or C2PA_KEY can't be read: {error.filename}: {error.strerror}"
    except UnusableKey as error:
        return f"C2PA_CERTIFICATE and C2PA_KEY can't be used: {error}"
    return ""


def notice() -> str:
    """Advice for the operator, as long as the own certificate signs; otherwise empty."""
    return "" if settings.C2PA_CERTIFICATE else str(NOTICE)


def notice_in_admin(request) -> dict:
    """A context processor. It passes the function, so that only a page that shows the notice makes it."""
    return {"signing_notice": notice}
