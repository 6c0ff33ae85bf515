"""How a waiting worker learns that there is a new job before its next look at the rows.

The rows are the queue. A wake-up carries no job and no truth: lost, doubled or late, it harms nothing. The
embedded implementation needs no broker: its workers look often enough, so nothing is sent.
"""

from __future__ import annotations

import time


def notify() -> None:
    """A job has been queued. Call it after the commit, when a worker can see the row."""


def wait(seconds: float) -> None:
    """Return at the next wake-up, and after ``seconds`` at the latest."""
    time.sleep(seconds)
