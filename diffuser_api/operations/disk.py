"""Free room on the disks: no new job is taken when it runs out, and an error that it causes says so.

Nothing is deleted here to make room: that is the operator's decision.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import sqlite3
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext, gettext_noop

POSTGRESQL_FULL = "53100"  # its code of the error disk_full
FULL_MB = 1  # with less left, any error is taken to come from the full disk
TEXT = gettext_noop("The server's disk is full. Its operator has to make room; after that, send this again.")


class NoRoom(Exception):
    """There is too little room to begin another job."""

    def __init__(self):
        super().__init__(gettext(TEXT))


def free_mb() -> dict[Path, int]:
    """Megabytes free for each folder that jobs write to. Raises OSError if one isn't there."""
    folders = (settings.DATA_DIR, settings.TMP_DATA_DIR, settings.TRAINING_APP_DIR)
    return {folder: shutil.disk_usage(folder).free // 2**20 for folder in folders}


def problem() -> str:
    """Why no job should be taken; empty if there is room."""
    try:
        short = {folder: free for folder, free in free_mb().items() if free < settings.MIN_FREE_MB}
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is not there"
    return ", ".join(
        f"{free} MB free for {folder.name}, {settings.MIN_FREE_MB} needed (MIN_FREE_MB)"
        for folder, free in short.items()
    )


def check_room() -> None:
    """Before a job is made. Raises NoRoom."""
    if problem():
        raise NoRoom


def is_full(error: BaseException | None = None) -> bool:
    """Whether the disk is full now, or was when it caused ``error``."""
    with contextlib.suppress(OSError):
        if min(free_mb().values()) < FULL_MB:
            return True
    while error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return True
        if getattr(error, "sqlstate", None) == POSTGRESQL_FULL:
            return True
        error = error.__cause__ or error.__context__
    return False
