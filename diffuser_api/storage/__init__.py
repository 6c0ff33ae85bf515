"""Where stored files are: on a disk (``disk``) or, with STORAGE_URL, in an S3 server's bucket (``bucket``).

Both are storages of Django's, and have more than Django asks for:

- ``is_near``: whether a transaction may wait until a file is stored;
- ``pages(folder)`` yields the files in the folder and below, some at a time, each with its age, by the
  clock that has written its time: those of machines differ;
- ``stamp(name)`` is another number when the file was replaced under its name;
- ``put(name, content)`` writes a file under this very name; if there is one already, that one stays;
- ``problem()`` says why the storage can't be used, or nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.core.files.storage import default_storage
from django.db import transaction
from django.db.models.fields.files import FieldFile

SECONDS_TO_RETRY = 5
TEXT = f"The storage of files can't be used at the moment; send this again in {SECONDS_TO_RETRY} seconds."
log = logging.getLogger(__name__)


class Away(Exception):
    """The storage's server can't be reached, or doesn't do what it should. The text says why."""


def is_away(error: BaseException | None) -> bool:
    """Whether the error comes from a storage that may be back soon."""
    while error:
        if isinstance(error, Away):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def new_files() -> Iterator[list[FieldFile]]:
    """The files in its list are deleted if the block fails: a transaction takes rows back, but no files.

    On a disk, the whole block is a transaction. A bucket may be slow, and a transaction holds locks: there,
    the block stores its files first, and opens a transaction of its own for the rows.
    """
    files: list[FieldFile] = []
    try:
        with transaction.atomic() if default_storage.is_near else nullcontext():
            yield files
    except BaseException:
        for file in files:
            delete(file.name)
        raise


def delete(name: str) -> None:
    """Delete a file that no row names. If the storage is away, a sweep does it later."""
    try:
        default_storage.delete(name)
    except Away as error:
        log.warning("%s: not deleted yet: %s", name, error)
