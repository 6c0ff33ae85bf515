"""The storage on a disk: its files survive a power cut as the rows that name them do."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

from django.core.files import File
from django.core.files.storage import FileSystemStorage


class StoredFile(File):
    """Django's own raises ValueError if the file was deleted between two calls of ``open``."""

    def open(self, mode=None, *args, **kwargs):
        """Raises FileNotFoundError."""
        if self.closed:
            self.file = open(self.name, mode or self.mode, *args, **kwargs)  # noqa: SIM115
        self.seek(0)
        return self


class DurableStorage(FileSystemStorage):
    is_near = True

    def _open(self, name, mode="rb"):
        return StoredFile(open(self.path(name), mode))  # noqa: SIM115

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

    def pages(self, folder: str) -> Iterator[dict[str, timedelta]]:
        now = self._now()
        for path, _, files in os.walk(self.path(folder)):
            found = {}
            for name in (os.path.relpath(os.path.join(path, file), self.location) for file in files):
                with suppress(FileNotFoundError):  # removed meanwhile
                    found[name] = timedelta(seconds=now - os.stat(self.path(name)).st_mtime)
            yield found

    def _now(self) -> float:
        """By the clock of the disk, which may be another machine's."""
        try:
            with tempfile.TemporaryFile(dir=self.location) as file:
                return os.fstat(file.fileno()).st_mtime
        except OSError:  # no room, for example
            return time.time()

    def stamp(self, name: str) -> int:
        """Raises OSError if the file is gone."""
        return os.stat(self.path(name)).st_mtime_ns

    def put(self, name: str, content: bytes) -> None:
        with suppress(FileExistsError), open(self.path(name), "xb") as file:
            file.write(content)

    def problem(self) -> str:
        """Said elsewhere: the doctor tries the folder."""
        return ""
