"""With STORAGE_URL: a worker stores copies of a job's working files, for workers on other machines.

The row names the copies. So a set of files changes as a whole, by one UPDATE, and only the worker that holds
the job can change it. A copy is never overwritten: the files of a set that is named stay as they are.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage

from diffuser_api import storage
from diffuser_api.jobs import folders, status_changes
from diffuser_api.jobs.lease import database_errors_tolerated
from diffuser_api.jobs.working_files import STORED
from diffuser_api.models import Job

SECONDS_BETWEEN_LOOKS = 2.0
UNFINISHED = (".tmp", ".part", ".log")  # files that nobody goes on from
log = logging.getLogger(__name__)
Stamp = tuple[int, int, int]


class Copies:
    """All methods do nothing without STORAGE_URL."""

    def __init__(self, job: Job, folder: Path, left_out: Collection[str] = ()) -> None:
        """``left_out``: the ends of names of files that are in the storage anyway."""
        self.job, self.folder, self.left_out = job, folder, (*UNFINISHED, *left_out)
        self._stamps: dict[str, Stamp] = {}  # of the files whose copies the row names
        self._next_look = 0.0  # time.monotonic()

    def fetch(self) -> bool:
        """Make the folder what the last worker has stored. False if nothing is stored, or not all is there;
        the folder is empty in the second case. Raises Away."""
        if not settings.BUCKET or not self.job.working_files:
            return False
        self._empty_folder()
        try:
            for name, copy in self.job.working_files.items():
                path = self.folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with default_storage.open(copy) as source, path.open("wb") as target:
                    shutil.copyfileobj(source, target)
                self._stamps[name] = _stamp(path)
        except FileNotFoundError as error:
            log.warning("job %s: begun again, since a file is not in the storage: %s", self.job.code, error)
            self._empty_folder()
            return False
        return True

    def _empty_folder(self) -> None:
        self._stamps.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
        folders.make(self.folder)

    def store(self) -> None:
        """Store what has changed in the folder since the last time. Raises Away; what is stored already is
        stored again then, and a sweep removes it."""
        if not settings.BUCKET:
            return
        names, stamps = {}, {}
        for name, path in self._files():
            with contextlib.suppress(FileNotFoundError):  # just removed, by the trainer for example
                stamps[name] = _stamp(path)
                is_known = self._stamps.get(name) == stamps[name]
                names[name] = self.job.working_files[name] if is_known else self._copy(name, path)
        before = self.job.working_files
        if names == before:
            return
        if status_changes.name_working_files(self.job, names):
            self.job.working_files, self._stamps = names, stamps
            gone = set(before.values()) - set(names.values())
        else:  # the job was cancelled, or is another worker's
            gone = set(names.values()) - set(before.values())
        for copy in gone:
            storage.delete(copy)

    def store_if_due(self, at_once: bool = False) -> None:
        """``store``, now or once in SECONDS_BETWEEN_LOOKS. Errors are logged: the next look tries again."""
        now = time.monotonic()
        if not at_once and now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        with database_errors_tolerated():
            try:
                self.store()
            except storage.Away as error:
                log.warning("job %s: its files are stored later: %s", self.job.code, error)

    def _copy(self, name: str, path: Path) -> str:
        with path.open("rb") as file:
            return default_storage.save(f"{STORED}/{self.job.code}/{name}", File(file))

    def _files(self) -> Iterator[tuple[str, Path]]:
        for folder, _, files in os.walk(self.folder):
            for name in sorted(files):
                path = Path(folder, name)
                if path.is_file() and not name.endswith(self.left_out):
                    yield str(path.relative_to(self.folder)), path


def _stamp(path: Path) -> Stamp:
    """A value that changes when the file is written again or replaced."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino
