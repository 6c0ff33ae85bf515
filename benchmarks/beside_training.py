"""A picture while another worker of the machine trains: ``python -m benchmarks.beside_training``.

One worker paints, another one trains, with the embedded models. Prints the seconds of pictures alone and
beside the training, and the ratio. It takes two minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

import requests

from benchmarks.harness import ROOT
from benchmarks.harness.running_service import RunningService, running
from generation.processes import lifeline
from generation.step_table import ORDER, TRAIN

PICTURES = 4
WORKER = ["manage.py", "worker", "--interval", "0.2"]


def worker(service: RunningService, steps: list[str]) -> subprocess.Popen:
    return subprocess.Popen(
        lifeline.tied([sys.executable, *WORKER]),
        cwd=ROOT,
        env=service.environment | {"WORKER_STEPS": ",".join(steps)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def until(url: str, true_of) -> dict:
    while not true_of(job := requests.get(url, timeout=30).json()):
        time.sleep(0.2)
    return job


def picture_seconds(service: RunningService, number: int) -> float:
    """The seconds of the steps, so without the wait for the worker's next look."""
    url = service.ask(f"picture {number}").json()["status_url"]
    job = until(url, lambda job: job["status"] not in ("queued", "running"))
    assert job["status"] == "succeeded", job
    return sum(value for one in job["timings"] for name, value in one.items() if name.endswith("_seconds"))


def main() -> None:
    with running(small=False, beside=()) as service:
        painter = worker(service, [name for name in dict.fromkeys(ORDER) if name != TRAIN])
        picture_seconds(service, 0)  # waits for the models
        alone = [picture_seconds(service, 1 + number) for number in range(PICTURES)]
        trainer = worker(service, [TRAIN])
        training = service.train("training").json()["status_url"]
        until(training, lambda job: job["progress"] > 0.02)
        beside = [picture_seconds(service, 1 + PICTURES + number) for number in range(PICTURES)]
        assert requests.get(training, timeout=30).json()["status"] == "running"
        for process in (trainer, painter):
            process.terminate()
            process.wait(30)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"a picture alone:           {' '.join(f'{one:.1f}' for one in alone)} s")
    print(f"beside a running training: {' '.join(f'{one:.1f}' for one in beside)} s")
    print(f"ratio of the medians: {statistics.median(beside) / statistics.median(alone):.2f}")


if __name__ == "__main__":
    main()
