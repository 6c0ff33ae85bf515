"""A worker's hold on the job that it runs: its heartbeat, and the reasons to end the run early.

While the thread that runs the job waits for another process, it calls ``check`` at least every
``SECONDS_BETWEEN_LOOKS``. If ``check`` raises an exception, the run ends. Work that must not be left half
done contains no ``check``. A second thread writes the heartbeat: copying files or finding faces may keep the
first thread busy for longer than other workers wait for a heartbeat.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import Error, close_old_connections, connection

from diffuser_api import storage
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job
from diffuser_api.operations import database

T = TypeVar("T")
log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_BETWEEN_BEATS = 5.0
SECONDS_TO_INSIST = 100.0  # on a write: less than the silence that other workers bear (SILENT_HERE)


class Lost(Exception):
    """The job was cancelled, deleted or given to another worker."""


class Stopped(Exception):
    """The worker was asked to end."""


class TimedOut(Exception):
    """A step or a training took longer than it may; the text says which."""


@contextmanager
def database_errors_tolerated() -> Iterator[None]:
    """Log errors of the database and go on. Use it only for reads and writes that are repeated anyway."""
    try:
        yield
    except Error as error:
        log.warning("the database can't be used, the next try follows: %s", error)
        close_old_connections()


def insist(write: Callable[[], T]) -> T:
    """Call ``write``, and repeat it while the database or the storage can't be used. Raises Error or Away
    after SECONDS_TO_INSIST."""
    end = time.monotonic() + SECONDS_TO_INSIST
    while True:
        try:
            return write()
        except (Error, storage.Away) as error:
            is_storage = isinstance(error, storage.Away)
            if not (is_storage or database.is_away(error)) or time.monotonic() > end:
                raise
            away = "storage" if is_storage else "database"
            log.warning("the %s can't be used, the next try follows: %s", away, error)
            close_old_connections()
        time.sleep(SECONDS_BETWEEN_LOOKS)


class Lease:
    def __init__(self, job: Job, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """``job`` must be claimed. ``is_stopping`` returns whether the worker was asked to end."""
        self.job, self.is_stopping = job, is_stopping
        self._next_look = 0.0  # time.monotonic()
        self._deadline: tuple[float, str] | None = None  # time.monotonic(), and what is said after it

    def set_limit(self, seconds: int, task: str, setting: str) -> None:
        """Give ``task`` so many seconds from now on (0: no limit). A new limit replaces the old one."""
        end, text = time.monotonic() + seconds, f"{task} took longer than {seconds} s, the limit of {setting}"
        self._deadline = (end, text) if seconds else None

    def check(self) -> None:
        """Raises Stopped, TimedOut or Lost if the run must end early. Reads the row at most once in
        ``SECONDS_BETWEEN_LOOKS``."""
        now = time.monotonic()
        if self.is_stopping():
            raise Stopped
        if self._deadline and now > self._deadline[0]:
            raise TimedOut(self._deadline[1])
        if now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            with database_errors_tolerated():
                if status_changes.is_lost(self.job):
                    raise Lost

    @contextmanager
    def heartbeat(self) -> Iterator[None]:
        """Write heartbeats as long as the ``with`` block lasts, which must hold the whole run."""
        over = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=(over,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _beat_until(self, over: threading.Event) -> None:
        while not over.wait(SECONDS_BETWEEN_BEATS):
            with database_errors_tolerated():
                status_changes.beat(self.job)
        connection.close()
