"""The stand-ins of steps and trainer. SIMULATED_SECONDS in the environment says how long each takes, as JSON:
``{"pose": 1.5, "detail": 1, "harmonize": 1, "face": 2, "train": 20}``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from generation import job_folder
from generation.processes import isolation, lifeline
from generation.processes.polling import wait_until_readable

VARIABLE, REAL_PYTHON = "SIMULATED_SECONDS", "REAL_PYTHON"
PYTHON = Path(__file__).with_name("python.bash")


def seconds_of(step: str) -> float:
    return json.loads(os.environ[VARIABLE])[step]


class Simulated:
    """A way to give a step a process of its own, as those in ``generation.processes.isolation``."""

    def prepare(self, profile, steps) -> None:
        pass

    def run(self, profile, name: str, job: Path, stderr, on_line, on_wait) -> int:
        waiting = subprocess.Popen(lifeline.tied(["sleep", str(seconds_of(name))]), stderr=stderr)
        ended, index, began = os.pidfd_open(waiting.pid), job_folder.newest_index(job) + 1, time.monotonic()

        def tell() -> None:
            done, of = round(1000 * (time.monotonic() - began)), round(1000 * seconds_of(name))
            on_line(json.dumps({"step": name, "index": index, "done": min(done, of), "of": of}))
            on_wait()

        try:
            wait_until_readable(ended, tell)
            status = waiting.wait()
        finally:
            os.close(ended)
            waiting.kill()
            waiting.wait()
        if status == 0:
            on_line(json.dumps(_go_on(name, job)))
        return status

    def close(self) -> None:
        pass


def _go_on(name: str, job: Path) -> dict:
    """Leave the step's picture, and say what a step says at its end."""
    newest = job_folder.newest_index(job)
    aside = job / "next.tmp"
    shutil.copyfile(job_folder.picture_path(job, newest), aside)
    shutil.copyfile(aside, job / job_folder.UNMARKED)
    aside.rename(job_folder.picture_path(job, newest + 1))
    parts = {"import_seconds": 0.0, "load_seconds": 0.0, "inference_seconds": seconds_of(name)}
    return {"step": name, "index": newest + 1, "pid": 0, **parts, "peak_rss_mb": 0.0}


def replace() -> None:
    """From now on, this process simulates. Call it after ``django.setup``."""
    from diffuser_api.jobs import run_training

    isolation.WAYS = dict.fromkeys(isolation.WAYS, Simulated)
    run_training.training_set.write = lambda *photos_and_folder: None
    # launch.bash is the product's own. Of the programs that it starts, post-back.py alone is.
    os.environ[REAL_PYTHON], sys.executable = sys.executable, str(PYTHON)
    run_training.PASSED_ON |= {VARIABLE, REAL_PYTHON}
