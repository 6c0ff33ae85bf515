"""Wakes waiting workers when a job is queued, so that they look at the rows earlier.

The rows are the queue, and a wake-up names no job. So a wake-up that is lost, repeated or late does no harm.
This implementation needs no message broker: it sends nothing, because workers look twice a second anyway.
"""

from __future__ import annotations

import time


def notify() -> None:
    """A job has been queued. Call it after the commit, when a worker can see the row."""


def wait(seconds: float) -> None:
    """Return at the next wake-up, and after ``seconds`` at the latest."""
    time.sleep(seconds)
