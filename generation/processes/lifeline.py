"""A process that ends when its parent ends, however that ends (Linux)."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Ask the kernel for SIGTERM when the parent dies; leave at once if it is dead already.

    ``parent`` is its process id, where it is known from before this process began. The kernel means the
    thread that started this process: it must live as long as the parent.
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
