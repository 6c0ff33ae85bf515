"""The end of a process that got a signal."""

from __future__ import annotations

import os
import threading


def end_within(seconds: float) -> None:
    """End this process with exit code 1 after ``seconds``, if it hasn't ended by itself.

    Python waits for its threads when it ends, and a thread may wait for a database or a broker that is gone.
    """
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()
