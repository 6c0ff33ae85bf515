"""Starts a module as ``python -m`` does, but in a fork of a process that has imported torch and diffusers.

The imports take eight seconds of processor time. Tests that start several templates or resident processes,
and are not about their start, put ``start`` in the place of ``step_server.start_module``.
"""

from __future__ import annotations

import os
import runpy
import socket
import subprocess
import sys
from multiprocessing import reduction

from benchmarks.harness import ROOT
from benchmarks.harness.forked_script import FORKS, use_own_start_method
from generation.processes import step_server


class Descriptor:
    """A file descriptor that goes to the fork. Its number may be another one there."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self):
        return _received, (reduction.DupFd(self.number),)


def _received(duplicate) -> int:
    return duplicate.detach()


class Started:
    """The fork, with as much of ``subprocess.Popen`` as ``step_server`` uses."""

    def __init__(self, process) -> None:
        self._process, self.pid = process, process.pid
        self.terminate, self.kill = process.terminate, process.kill

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.returncode


def start(arguments: list[str], stdin: socket.socket, stdout: int, stderr: int) -> Started:
    """As ``step_server.start_module``, for a server."""
    environment = {name: value for name, value in os.environ.items() if name not in step_server.SECRETS}
    streams = [Descriptor(number) for number in (stdin.fileno(), stdout, stderr)]
    process = FORKS.Process(target=_run, args=(arguments, environment, streams), daemon=True)
    process.start()
    return Started(process)


def _run(arguments: list[str], environment: dict[str, str], streams: list[int]) -> None:
    use_own_start_method()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    sys.argv = list(arguments)
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
