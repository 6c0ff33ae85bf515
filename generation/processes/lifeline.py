"""Processes that end when their parent ends, also when the parent is killed (Linux)."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel to send SIGTERM when the parent ends. If the parent has ended already, end at once.

    ``parent``: the parent's process id, if the caller has read it earlier. The kernel watches the thread that
    started this process, so that thread must live as long as the parent.
    """
    if not sys.platform.startswith("linux"):
        return
    parent = parent or os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def tied(command: list[str]) -> list[str]:
    """The command, extended so that its process gets SIGTERM when its parent dies. This needs Linux's
    setpriv; without it, the command stays as it is."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *command] if shutil.which("setpriv") else command
