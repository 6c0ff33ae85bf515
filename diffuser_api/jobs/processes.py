"""Names of workers, and the end of processes whose worker has died (orphans).

A worker's name consists of its machine, its pid and its start time. So when the system uses a pid again, the
new process has another name. All processes that a worker starts carry its name in an environment variable. So
orphans are found, however the worker ended. For Linux. This module knows nothing of jobs.
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
    """A name for this machine since its last boot, and for the container on it. A pid is unique only
    there."""
    boot = (PROC / "sys/kernel/random/boot_id").read_text()[:8]
    return f"{boot}-{os.stat(PROC / 'self/ns/pid').st_ino}"


def started(pid: int) -> int | None:
    """When a process started, in clock ticks since the boot; None if it doesn't exist or is a zombie.

    psutil gives the time of day instead, which changes when somebody sets the clock.
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
    """The environment variable that marks this worker's processes, so that they are found after its death."""
    return {MARK: name()}


def machine_of(worker: str) -> str:
    """Of a worker's name, the part that says on which machine it is."""
    return worker.rsplit("-", 2)[0]


def is_here(worker: str) -> bool:
    """Whether the worker is of this machine: only then can ``is_alive`` answer."""
    return worker.startswith(machine() + "-")


def is_alive(worker: str) -> bool:
    """Whether the worker's process runs. Only for a worker that ``is_here``."""
    pid, start = worker.split("-")[2:]
    return str(started(int(pid))) == start


def tree_mb() -> float:
    """The memory of this process and of all that it has started, in MiB. Shared memory counts once."""
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
    """End all orphans, and return how many there were."""
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
    """Wait for the processes, at most ``SECONDS_TO_END``. A zombie counts as ended: its parent just hasn't
    read its exit status yet."""
    deadline = time.monotonic() + SECONDS_TO_END
    while any(started(process.pid) for process in found):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def end_worker(worker: str) -> None:
    """Send SIGKILL to a worker of this machine that hangs."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(int(worker.split("-")[2]))
        if is_alive(worker):
            process.kill()
            _have_ended([process])
