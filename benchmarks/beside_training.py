"""A picture while another worker of the machine trains: ``python -m benchmarks.beside_training``.

One worker paints, another one trains, with the embedded models. Prints the seconds of pictures alone and
beside the training, and the ratio. It takes two minutes.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from benchmarks.harness import ROOT
from benchmarks.harness.api_client import get_json, wait_for
from benchmarks.harness.running_service import COMMANDS, RunningService, running
from benchmarks.harness.running_worker import wait_until
from generation.processes import lifeline
from generation.step_table import STEPS, TRAIN

PICTURES = 4


def worker(service: RunningService, steps: str) -> subprocess.Popen:
    return subprocess.Popen(
        lifeline.tied([sys.executable, *COMMANDS["worker"]]),
        cwd=ROOT,
        env=service.environment | {"WORKER_STEPS": steps},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def picture_seconds(service: RunningService, number: int) -> float:
    """The seconds of the steps, so without the wait for the worker's next look."""
    url = service.ask(f"picture {number}").json()["status_url"]
    job = wait_for(url, 240)[-1]
    assert job["status"] == "succeeded", job
    return sum(value for one in job["timings"] for name, value in one.items() if name.endswith("_seconds"))


def main() -> None:
    with running(small=False, beside=()) as service:
        painter = worker(service, ",".join(STEPS))
        picture_seconds(service, 0)  # waits for the models
        alone = [picture_seconds(service, 1 + number) for number in range(PICTURES)]
        trainer = worker(service, TRAIN)
        training = service.train("training").json()["status_url"]
        wait_until(lambda: get_json(training)["progress"] > 0.02)
        beside = [picture_seconds(service, 1 + PICTURES + number) for number in range(PICTURES)]
        assert get_json(training)["status"] == "running"
        for process in (trainer, painter):
            process.terminate()
            process.wait(30)
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"a picture alone:           {' '.join(f'{one:.1f}' for one in alone)} s")
    print(f"beside a running training: {' '.join(f'{one:.1f}' for one in beside)} s")
    print(f"ratio of the medians: {statistics.median(beside) / statistics.median(alone):.2f}")


if __name__ == "__main__":
    main()
