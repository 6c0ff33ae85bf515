"""The default storage: files on disk, which survive a power cut as the rows that name them do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.staticfiles.storage import StaticFilesStorage
from django.core.files.storage import FileSystemStorage
from django.db import transaction
from django.db.models.fields.files import FieldFile


@contextmanager
def transaction_with_files() -> Iterator[list[FieldFile]]:
    """A transaction that fails takes rows back, but no files: those in its list are deleted then."""
    files: list[FieldFile] = []
    try:
        with transaction.atomic():
            yield files
    except BaseException:
        for file in files:
            file.storage.delete(file.name)
        raise


class DurableStorage(FileSystemStorage):
    def _save(self, name, content):
        """A row is committed after its file is saved: by then the file and its name must be on the disk."""
        try:
            name = super()._save(name, content)
        except OSError:  # no room, as a rule: half a file is of no use to anybody
            self.delete(name)
            raise
        for path in (self.path(name), os.path.dirname(self.path(name))):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return name


class StaticFiles(StaticFilesStorage):
    """Django's own keeps its address from before the first request, which says the site's path."""

    @property
    def base_url(self) -> str:
        return settings.STATIC_URL
