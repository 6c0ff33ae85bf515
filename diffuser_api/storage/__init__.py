"""Where stored files are: on a disk (``disk``) or, with STORAGE_URL, in an S3 server's bucket (``bucket``).

Both are storages of Django's, and have more than Django asks for:

- ``is_near``: whether a transaction may wait until a file is stored;
- ``pages(folder)`` yields the files in the folder and below, some at a time. Each has its age by the clock
  that has written its time, since the clocks of machines differ;
- ``stamp(name)`` is a number that changes when the file is replaced by another one of the same name;
- ``put(name, content)`` writes a file under exactly this name, unless there is one already;
- ``presigned_url(name, method, content_type)``: only of a bucket, with OUTPUT_SERVER;
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
    """A list for the files that the block stores. If the block fails, they are deleted: a database undoes the
    rows of a failed transaction, but no files.

    With files on a disk, the whole block is a transaction. A bucket may be slow, and a transaction holds
    locks. So with a bucket, the block first stores its files, and then opens a transaction for the rows.
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
