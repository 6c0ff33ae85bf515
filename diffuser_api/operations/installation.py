"""Which working folders and stored files belong to this installation, where several share a disk.

An installation is a DATA_DIR with its database. A second one may be started from the same checkout, or on the
same DATA_DIR with another database: a sweep must not take the first one's files for ownerless.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import connection

MARK = ".installation"  # the end of the name of a file beside each working folder: it names the installation
CLAIM = "installation"  # in DATA_DIR or the bucket: the database whose rows name the stored files


def name() -> str:
    """The same in all processes of an installation on this machine."""
    text = f"{Path(settings.DATA_DIR).resolve()}\n{database()}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def database() -> str:
    """Where the database is; without its password."""
    values = connection.settings_dict
    if connection.vendor != "sqlite":
        return f"{connection.vendor}://{values['HOST']}:{values['PORT']}/{values['NAME']}"
    path, data = Path(values["NAME"]).resolve(), Path(settings.DATA_DIR).resolve()
    # Relative, so that a DATA_DIR which was moved keeps its files.
    return f"sqlite:{path.relative_to(data) if path.is_relative_to(data) else path}"


def mark(folder: Path) -> None:
    """Write whose the folder is, before it is made: there is never one that no sweep would remove."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _mark_of(folder).open("w") as file:
        file.write(name())
        file.flush()
        os.fsync(file.fileno())


def unmark(folder: Path) -> None:
    """After the folder was removed."""
    _mark_of(folder).unlink(missing_ok=True)


def marked(parent: Path) -> list[Path]:
    """The folders in ``parent`` that this installation has made, or was about to make."""
    found = []
    for path in parent.glob(f"*{MARK}"):
        with contextlib.suppress(FileNotFoundError):  # just being removed
            if path.read_text(errors="replace") == name():
                found.append(path.with_name(path.name.removesuffix(MARK)))
    return found


def _mark_of(folder: Path) -> Path:
    return folder.with_name(folder.name + MARK)


def claim_files() -> None:
    """The stored files belong to the first database that asks. Raises Away."""
    default_storage.put(CLAIM, database().encode())


def other_owner() -> str:
    """The other database that the stored files belong to; empty if they are ours, or nobody's yet. Raises
    Away."""
    try:
        with default_storage.open(CLAIM) as file:
            owner = file.read().decode()
    except FileNotFoundError:
        return ""
    return "" if owner == database() else owner
