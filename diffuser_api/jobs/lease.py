"""A worker's hold on the job that it runs: the heartbeat, and how the job is broken off from outside.

While a job runs, a thread beats for it, prints or not, and looks whether the row still says that it is ours.
If it isn't (cancelled, deleted, given to another worker), if the worker is to stop, or if something takes
longer than its ``limit``, the main thread leaves the ``breakable`` part of the job by an exception. Outside
of that part nothing is interrupted half-way. Knows threads and signals; what a row says is up to ``life``.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from django.db import Error, connection

log = logging.getLogger(__name__)
SECONDS_BETWEEN_LOOKS = 0.3
SECONDS_BETWEEN_BEATS = 5.0


class BrokenOff(BaseException):
    """Not an Exception, so that no library on the way takes it for an error of its own."""


class Lost(BrokenOff):
    """The job isn't ours any more."""


class Stopped(BrokenOff):
    """The worker was asked to end."""


class TimedOut(BrokenOff):
    """A step or training took longer than it may; says which."""


class _Hold:
    def __init__(self, is_ours: Callable[[], bool], beat: Callable[[], None]) -> None:
        self.is_ours, self.beat = is_ours, beat
        self.reason: BrokenOff | type[BrokenOff] | None = Stopped if _stopping else None
        self.latest: tuple[float, str] | None = None  # time.monotonic(), and what is said when it is over
        self.breakable = False
        self.over = threading.Event()

    def watch(self) -> None:
        last_beat = time.monotonic()
        while not self.over.wait(SECONDS_BETWEEN_LOOKS):
            try:
                if not self.reason and not self.is_ours():
                    self.reason = Lost
                if not self.reason and self.latest and time.monotonic() > self.latest[0]:
                    self.reason = TimedOut(self.latest[1])
                if time.monotonic() - last_beat >= SECONDS_BETWEEN_BEATS:
                    self.beat()
                    last_beat = time.monotonic()
            except Error as error:
                log.warning("no heartbeat, the next try follows: %s", error)
            if self.reason:  # again and again: the main thread puts it off while it may not be disturbed
                signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        connection.close()


_hold: _Hold | None = None
_stopping = False
_STARTING = {"__init__", "_execute_child"}  # of subprocess.Popen


def stop() -> None:
    """Break off the job, if there is one, and every later one: the worker ends."""
    global _stopping
    _stopping = True
    if _hold:
        _hold.reason = Stopped


@contextmanager
def hold(is_ours: Callable[[], bool], beat: Callable[[], None]) -> Iterator[None]:
    """Around a whole job, in the main thread."""
    global _hold
    mine = _hold = _Hold(is_ours, beat)
    signal.signal(signal.SIGUSR1, _on_signal)  # for good: a late signal must not end the process
    watcher = threading.Thread(target=mine.watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        mine.over.set()
        watcher.join()
        _hold = None


def limit(seconds: int, what: str, setting: str) -> None:
    """From now on, ``what`` may take so long; 0: any time. A new limit replaces the last."""
    if _hold:
        end, text = time.monotonic() + seconds, f"{what} took longer than {seconds} s, the limit of {setting}"
        _hold.latest = (end, text) if seconds else None


@contextmanager
def breakable() -> Iterator[None]:
    """Around the wait for other processes. Raises BrokenOff, at once if there is a reason already."""
    if _hold:
        check()
        _hold.breakable = True
    try:
        yield
    finally:
        if _hold:
            _hold.breakable = False


@contextmanager
def undisturbed() -> Iterator[None]:
    """Inside of ``breakable``, around what must be done whole: writing to the database."""
    before = _hold and _hold.breakable
    if _hold:
        _hold.breakable = False
    try:
        yield
    finally:
        if _hold:
            _hold.breakable = before


def check() -> None:
    """Raises Lost or Stopped if there is a reason to."""
    if _hold and _hold.reason:
        raise _hold.reason


def _on_signal(number: int, frame: FrameType | None) -> None:
    if _hold and _hold.reason and _hold.breakable and not _starts_a_process(frame):
        _hold.breakable = False
        raise _hold.reason


def _starts_a_process(frame: FrameType | None) -> bool:
    """A process that is just being started has nobody yet who would end it."""
    while frame:
        if frame.f_code.co_filename == subprocess.__file__ and frame.f_code.co_name in _STARTING:
            return True
        frame = frame.f_back
    return False
