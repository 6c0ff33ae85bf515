"""The three ways to give a step a process of its own. STEP_ISOLATION names one. Imports no torch.

template   A process imports the libraries and loads the models, nothing else. For each step it forks a child,
           which paints, writes its picture and exits. Then all memory that the step used is free.
spawn      A new interpreter for each step, which imports and loads each time. This is simple, and slow.
resident   One process per set of models, which does many steps. It is for a GPU that holds all models. The
           process grows; its memory is free again only when it ends and another process replaces it.

All three call ``step_process.attempt``. Their ``run`` returns the step's exit status (negative: the number of
the signal that ended it). While it waits, it calls ``on_wait`` at least every 0.3 s. When ``run`` returns or
raises, the step's process has ended, also if ``on_wait`` or ``on_line`` raised the exception.
"""

from __future__ import annotations

import atexit
import functools
import os
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import IO

from generation.models.profiles import ModelProfile, get_profile
from generation.processes.polling import OnWait, read_lines, wait_until_readable
from generation.processes.step_server import OnLine, Server, end, start_module
from generation.step_table import ORDER, STEPS

# Also on CUDA, where it is not measured yet. Each child must start CUDA and move its models to the GPU. But
# it leaves the GPU empty, so a card that can't hold all models at once is enough.
DEFAULT = "template"


class Spawn:
    """A new interpreter for each step."""

    def prepare(self, profile: ModelProfile, steps: Collection[str]) -> None:
        pass

    def run(
        self, profile: ModelProfile, name: str, job: Path, stderr: IO, on_line: OnLine, on_wait: OnWait
    ) -> int:
        arguments = ["generation.steps", name, str(job.resolve())]
        process = start_module(arguments, subprocess.DEVNULL, subprocess.PIPE, stderr)
        ended = os.pidfd_open(process.pid)
        try:
            for line in read_lines(process.stdout.fileno(), on_wait):
                on_line(line)
            wait_until_readable(ended, on_wait)
            return process.wait()
        finally:
            os.close(ended)
            process.stdout.close()
            end(process)

    def close(self) -> None:
        pass


class Template(Server):
    """A child of one template for each step."""

    def __init__(self) -> None:
        super().__init__("generation.processes.fork_server", list(STEPS))

    def prepare(self, profile: ModelProfile, steps: Collection[str]) -> None:
        self.steps = [name for name in STEPS if name in steps]
        if self.steps:
            self.start(profile)


class Resident:
    """A process that stays, for each set of models. Steps with the same models share a process."""

    def __init__(self) -> None:
        self.servers: dict[str, Server] = {}  # by step

    def prepare(self, profile: ModelProfile, steps: Collection[str]) -> None:
        for name in STEPS:
            if name in steps:
                self._server(name, profile).start(profile)

    def run(
        self, profile: ModelProfile, name: str, job: Path, stderr: IO, on_line: OnLine, on_wait: OnWait
    ) -> int:
        return self._server(name, profile).run(profile, name, job, stderr, on_line, on_wait)

    def _server(self, name: str, profile: ModelProfile) -> Server:
        if name not in self.servers:
            alike = [other for other in STEPS if profile.models_of(other) == profile.models_of(name)]
            self.servers |= dict.fromkeys(alike, Server("generation.processes.resident", alike))
        return self.servers[name]

    def close(self) -> None:
        for server in self.servers.values():
            server.close()


WAYS = {"template": Template, "spawn": Spawn, "resident": Resident}


def chosen_name() -> str:
    """The way that STEP_ISOLATION names. Raises ValueError for an unknown one."""
    name = os.environ.get("STEP_ISOLATION") or DEFAULT
    if name not in WAYS:
        raise ValueError(f"STEP_ISOLATION={name!r} is not one of {', '.join(WAYS)}")
    return name


@functools.cache
def _way(name: str) -> Template | Spawn | Resident:
    way = WAYS[name]()
    atexit.register(way.close)
    return way


def chosen() -> Template | Spawn | Resident:
    """The way that STEP_ISOLATION names. All callers in this process share it and the processes it keeps."""
    return _way(chosen_name())


def prepare(steps: Collection[str] = ORDER) -> None:
    """Start importing and loading for the settings' profile, the models of these steps only. Returns at once.

    A worker calls this when it starts, from a thread that lives as long as the worker, because the processes
    end when the thread that started them ends.
    """
    chosen().prepare(get_profile(), steps)
