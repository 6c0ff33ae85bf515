"""Waits for another process. The waiting thread regularly calls a function, which can end the wait."""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Iterator

WAIT_SECONDS = 0.3  # the longest time between two calls of ``on_wait``
OnWait = Callable[[], None]


def wait_until_readable(descriptor: int, on_wait: OnWait) -> None:
    """Return when there is something to read, or when the other end was closed.

    ``on_wait`` is called at least every ``WAIT_SECONDS``. It can end the wait by raising an exception.
    """
    readable = False
    while not readable:
        readable = bool(select.select([descriptor], [], [], WAIT_SECONDS)[0])
        on_wait()


def read_lines(descriptor: int, on_wait: OnWait) -> Iterator[str]:
    """The lines of a pipe, without their line ends, until its last writer has closed it."""
    rest = b""
    while True:
        wait_until_readable(descriptor, on_wait)
        block = os.read(descriptor, 65_536)
        if not block:
            break
        *lines, rest = (rest + block).split(b"\n")
        yield from (line.decode() for line in lines)
    if rest:
        yield rest.decode()
