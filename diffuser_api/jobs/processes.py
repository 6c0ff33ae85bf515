"""Who is who among this machine's processes, by names that outlive a pid; and dead workers' orphans.

A worker's name is its machine, its pid and the time that it started, so a pid used again is nobody's name.
All that a worker starts carries the name in its environment: that is how orphans are found, however the
worker ended. Reads Linux's /proc; knows nothing of jobs.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

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
    """When a process started, in clock ticks since the machine did; None when there is none, or a zombie."""
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


def _mark_of(pid: int) -> str | None:
    try:
        variables = (PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:  # gone, or another user's
        return None
    prefix = f"{MARK}=".encode()
    return next((v.removeprefix(prefix).decode() for v in variables if v.startswith(prefix)), None)


def tree_mb() -> float:
    """Memory of this process and all that it has started, in 2**20 bytes; what they share counts once."""
    own = os.getpid()
    pids = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return sum(_memory_kb(pid) for pid in pids if pid == own or _mark_of(pid) == name(own)) / 1024


def _memory_kb(pid: int) -> int:
    try:
        text = (PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:  # gone meanwhile, or a zombie
        return 0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))


def orphans() -> Iterator[int]:
    """File descriptors (see pidfd_open(2)) of processes whose worker is dead. The caller closes them."""
    for pid in [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]:
        if not _mark_of(pid):
            continue
        try:
            process = os.pidfd_open(pid)
        except OSError:
            continue
        worker = _mark_of(pid)  # read again: from here on the descriptor means this process and no later one
        if worker and is_here(worker) and not is_alive(worker):
            yield process
        else:
            os.close(process)


def end_orphans() -> int:
    """Ends them and returns how many there were; none is left when this returns."""
    found = list(orphans())
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in found:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, number)
            deadline = time.monotonic() + SECONDS_TO_END
            if all([_has_ended(process, deadline) for process in found]):
                break
    finally:
        for process in found:
            os.close(process)
    if found:
        log.warning("%d processes of dead workers ended", len(found))
    return len(found)


def _has_ended(process: int, deadline: float) -> bool:
    """Waits for it. A descriptor of a process can be read from once the process has ended."""
    return bool(select.select([process], [], [], max(0.0, deadline - time.monotonic()))[0])


def end_worker(worker: str) -> None:
    """SIGKILL for a worker of this machine that hangs."""
    pid = int(worker.split("-")[2])
    with contextlib.suppress(OSError):
        process = os.pidfd_open(pid)
        try:
            if is_alive(worker):
                signal.pidfd_send_signal(process, signal.SIGKILL)
                _has_ended(process, time.monotonic() + SECONDS_TO_END)
        finally:
            os.close(process)
