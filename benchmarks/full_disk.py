"""A disk that fills up: what is answered, does it go on after? ``python -m benchmarks.full_disk``, as root.

The folders of data (the database with it), of working files and of trainings are small disks of their own.
Each is filled to the last byte while photos come in, in a step, in a training, while a picture is asked for
and while one is stored. Then there is room again.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import requests

from benchmarks.harness.running_service import RunningService
from benchmarks.harness.small_disks import full, small_disk

DISK_MB = 48
SECONDS = 240.0  # for a job to end, and longer than the sweep takes to find one that nobody runs any more


class Trial:
    def __init__(self, service: RunningService) -> None:
        self.service, self.number, self.faults = service, 0, []

    def ask(self) -> requests.Response:
        self.number += 1
        return self.service.ask(f"picture {self.number}")

    def train(self) -> requests.Response:
        self.number += 1
        return self.service.train(f"training {self.number}")

    def begin(self, answer: requests.Response) -> str:
        """The code of the job; for the one that is to be disturbed."""
        assert answer.status_code == 202, answer.text
        return answer.json().get("code") or answer.json()["lora_code"]

    def wait(self, condition: Callable) -> bool:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            self.service.tend()
            if condition():
                return True
            time.sleep(0.02)
        return False

    def job(self, code: str) -> dict:
        answer = requests.get(f"{self.service.url}/api/jobs/{code}/", timeout=60)
        return answer.json() if answer.ok else {"status": f"answered {answer.status_code}", "error": None}

    def ends(self, code: str) -> dict:
        self.wait(lambda: self.job(code)["status"] in ("succeeded", "failed"))
        return self.job(code)

    def folder_has(self, pattern: str) -> bool:
        return bool(list(self.service.folder.glob(pattern)))

    def look(self, good: bool, what: str) -> None:
        print(f"    {'' if good else 'WRONG: '}{what}", flush=True)
        self.faults += [] if good else [what]

    def refused(self, what: str, answer: requests.Response) -> None:
        self.look(answer.status_code == 507, f"{what}: {answer.status_code} {answer.text[:150]}")

    def goes_on(self, answer: requests.Response) -> None:
        """There is room again."""
        job = self.ends(self.begin(answer))
        self.look(job["status"] == "succeeded", f"then: {job['status']} {job['error'] or ''}")

    def failed(self, code: str) -> None:
        began, job = time.monotonic(), self.ends(code)
        said = f"{job['status']} after {time.monotonic() - began:.0f} s {job['error'] or ''}"
        self.look(job["status"] == "failed" and job["error"]["code"] == "disk_full", said)

    def nothing_half_written(self) -> None:
        """Each stored file is a whole one of a job that succeeded, and no working file is left."""
        left = [str(path) for path in self.service.working_files()]
        self.look(not left, f"working files left: {left}")
        for path in (self.service.folder / "data").glob("*/*"):
            code = path.name[:8]
            if path.parent.name in ("outputs", "loras"):
                job = self.job(code)
                self.look(job["status"] == "succeeded", f"{path.name} of a job that {job['status']}")


def run(trial: Trial, folder: Path) -> None:
    print("working files, while photos come in")
    with full(folder / "tmp_data"):
        trial.refused("training", trial.train())
        photo = {"image": trial.service.photos[0]}
        trial.refused(
            "check", requests.post(f"{trial.service.url}/api/photos/check/", files=photo, timeout=60)
        )

    print("working files, in a step")
    code = trial.begin(trial.ask())
    trial.wait(lambda: trial.folder_has(f"tmp_data/{code}/1-pose.png"))
    with full(folder / "tmp_data"):
        trial.failed(code)
    trial.goes_on(trial.ask())

    print("trainings, in a training")
    code = trial.begin(trial.train())
    trial.wait(lambda: trial.job(code)["progress"] > 0)
    with full(folder / "training-app"):
        trial.failed(code)
    trial.goes_on(trial.train())

    print("data and database")
    with full(folder / "data"):
        trial.refused("training", trial.train())
        trial.refused("picture", trial.ask())
        for path in ("/healthz", "/api/pois/"):
            status = requests.get(trial.service.url + path, timeout=60).status_code
            trial.look(status in (200, 507), f"{path}: {status}")
    trial.goes_on(trial.ask())

    print("data and database, while a picture is painted and stored")
    code = trial.begin(trial.ask())
    trial.wait(lambda: trial.folder_has(f"tmp_data/{code}/1-pose.png"))
    with full(folder / "data"):
        trial.wait(lambda: trial.folder_has(f"tmp_data/{code}/4-harmonize.png"))
        time.sleep(5)
        picture = requests.get(f"{trial.service.url}/data/outputs/{code}", timeout=60)
        trial.look(picture.status_code in (404, 507), f"the picture meanwhile: {picture.status_code}")
    began, job = time.monotonic(), trial.ends(code)
    said = f"with room again, {job['status']} after {time.monotonic() - began:.0f} s {job['error'] or ''}"
    trial.look(job["status"] in ("failed", "succeeded"), said)
    trial.goes_on(trial.ask())
    trial.nothing_half_written()


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="cartolina-disk-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        try:
            for place in ("data", "tmp_data", "training-app"):
                stack.enter_context(small_disk(folder / place, DISK_MB))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"skipped: a small disk can't be mounted here ({error}); root may")
            return
        service = RunningService(folder, MIN_FREE_MB="0", TRAINING_STEPS="60")
        service.tend()
        stack.callback(service.stop)
        trial = Trial(service)
        trial.wait(service.answers)
        started = time.monotonic()
        run(trial, folder)
    print(f"{len(trial.faults)} things went wrong, in {time.monotonic() - started:.0f} s")
    sys.exit(bool(trial.faults))


if __name__ == "__main__":
    main()
