"""Runs a script in a fork of a process that has imported torch and diffusers, which takes eight seconds."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["benchmarks.harness.torch_imports"])


def run(script: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess:
    """As ``subprocess.run`` of this interpreter with the script, with its output as text."""
    with tempfile.TemporaryDirectory() as name:
        streams = [Path(name, "stdout"), Path(name, "stderr")]
        process = FORKS.Process(target=_run, args=(script, arguments, dict(os.environ), streams))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired([script, *arguments], timeout)
        texts = [stream.read_text() for stream in streams]
    return subprocess.CompletedProcess([script, *arguments], process.exitcode, *texts)


def use_own_start_method() -> None:
    """From now on, this fork starts processes as a new interpreter does.

    It would else do as the process that it was forked from. Then its locks (tqdm makes one) are semaphores
    with a name in /dev/shm, which stay there if the fork is killed.
    """
    multiprocessing.set_start_method(None, force=True)


def _run(script: Path, arguments: tuple[str, ...], environment: dict[str, str], streams: list[Path]) -> None:
    use_own_start_method()
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")
