"""Processes that end when their parent ends, also when that is killed (Linux)."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Have the kernel send SIGTERM when the parent ends; end at once if it has ended already.

    ``parent`` is its process id, if the caller knows it from before. The kernel watches the thread that
    started this process, so that thread must live as long as the parent.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = parent or os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def tied(command: list[str]) -> list[str]:
    """The command so that its process gets SIGTERM when its parent dies (where there is setpriv: Linux)."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *command] if shutil.which("setpriv") else command
