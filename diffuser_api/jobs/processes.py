"""Workers and what they start, told apart by names that outlive a pid; and the end of dead workers' orphans.

A worker's name is its machine, its pid and the time that it started, so a pid used again is nobody's name.
All that a worker starts carries the name in its environment: that is how orphans are found, however the
worker ended. For Linux; knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import time
from pathlib import Path

import psutil

log = logging.getLogger(__name__)
MARK = "CARTOLINA_WORKER"  # the environment variable that holds the worker's name
PROC = Path("/proc")
SECONDS_TO_END = 3.0  # between SIGTERM and SIGKILL


@functools.cache
def machine() -> str:
    """This start of this machine, and the container on it: only here does a pid mean anything."""
    boot = (PROC / "sys/kernel/random/boot_id").read_text()[:8]
    return f"{boot}-{os.stat(PROC / 'self/ns/pid').st_ino}"


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since the machine did; None when there is none, or a zombie.

    psutil tells the time of day instead, and that of another process changes when the clock is set.
    """
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])  # fields 3 and 22 of proc_pid_stat(5)


def name(pid: int | None = None) -> str:
    pid = os.getpid() if pid is None else pid
    return f"{machine()}-{pid}-{started(pid)}"


def mark() -> dict[str, str]:
    """The environment variable by which a process that this one starts is found when this one has died."""
    return {MARK: name()}


def is_here(worker: str) -> bool:
    """Whether it was a process of this machine, so that we can know if it lives."""
    return worker.startswith(machine() + "-")


def is_alive(worker: str) -> bool:
    """Of a worker that ``is_here``."""
    pid, start = worker.split("-")[2:]
    return str(started(int(pid))) == start


def tree_mb() -> float:
    """Memory of this process and all that it has started, in 2**20 bytes; what they share counts once."""
    this, total = psutil.Process(), 0
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # gone meanwhile, or a zombie
            total += process.memory_full_info().pss
    return total / 2**20


def orphans() -> list[psutil.Process]:
    """Processes whose worker is dead."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # gone meanwhile, or another user's
            worker = process.environ().get(MARK, "")
            if is_here(worker) and not is_alive(worker):
                found.append(process)
    return found


def end_orphans() -> int:
    """Ends them and returns how many there were; none is left when this returns."""
    found = orphans()
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                end(process)
        if _have_ended(found):
            break
    if found:
        log.warning("%d processes of dead workers ended", len(found))
    return len(found)


def _have_ended(found: list[psutil.Process]) -> bool:
    """Waits for them, for ``SECONDS_TO_END`` at most. A zombie has ended; its parent may still ask how."""
    deadline = time.monotonic() + SECONDS_TO_END
    while any(started(process.pid) for process in found):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_worker(worker: str) -> None:
    """SIGKILL for a worker of this machine that hangs."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(worker.split("-")[2]))
        if is_alive(worker):
            process.kill()
            _have_ended([process])
