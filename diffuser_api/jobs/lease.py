"""A worker's hold on the job that it runs: its heartbeat, and the reasons to break the run off.

The thread that runs the job calls ``check`` wherever it waits for another process, at least every
``SECONDS_BETWEEN_LOOKS``, and leaves by the exception; what must be done whole has no check in it. A thread
beside it writes the heartbeat, because copying files or looking for faces may keep the first one busy for
longer than other workers wait for a heartbeat.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import Error, close_old_connections, connection

from diffuser_api.jobs import status_changes
from diffuser_api.models import Job
from diffuser_api.operations import database

T = TypeVar("T")
log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_BETWEEN_BEATS = 5.0
SECONDS_TO_INSIST = 100.0  # on a write; after that, another worker of this machine may take the job soon


class Lost(Exception):
    """The job was cancelled, deleted or given to another worker."""


class Stopped(Exception):
    """The worker was asked to end."""


class TimedOut(Exception):
    """A step or a training took longer than it may; the text says which."""


@contextmanager
def database_errors_tolerated() -> Iterator[None]:
    """Around a look or a write that comes again: while the database can't be used, the run goes on."""
    try:
        yield
    except Error as error:
        log.warning("the database can't be used, the next try follows: %s", error)
        close_old_connections()


def insist(write: Callable[[], T]) -> T:
    """For what must be written: tries again while the database can't be used. Raises Error at last."""
    end = time.monotonic() + SECONDS_TO_INSIST
    while True:
        try:
            return write()
        except Error as error:
            if not database.is_away(error) or time.monotonic() > end:
                raise
            log.warning("the database can't be used, the next try follows: %s", error)
            close_old_connections()
        time.sleep(SECONDS_BETWEEN_LOOKS)


class Lease:
    def __init__(self, job: Job, is_stopping: Callable[[], bool] = lambda: False) -> None:
        """``job`` is claimed. ``is_stopping`` says whether the worker was asked to end."""
        self.job, self.is_stopping = job, is_stopping
        self._next_look = 0.0  # time.monotonic()
        self._deadline: tuple[float, str] | None = None  # time.monotonic(), and what is said after it

    def set_limit(self, seconds: int, task: str, setting: str) -> None:
        """From now on, ``task`` may take so long; 0: any time. A new limit replaces the last."""
        end, text = time.monotonic() + seconds, f"{task} took longer than {seconds} s, the limit of {setting}"
        self._deadline = (end, text) if seconds else None

    def check(self) -> None:
        """Raises Stopped, TimedOut or Lost if there is a reason to break the run off. Reads the row every
        ``SECONDS_BETWEEN_LOOKS`` at most."""
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
        """Around the whole run."""
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
