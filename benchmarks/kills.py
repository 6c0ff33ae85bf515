"""Kills a random process of the running system, again and again, while jobs of both kinds come in.

``python -m benchmarks.kills --kills 200 --seed 1``. Small random models, so that much happens in little time.
Every accepted job must end, with its one result or with its reason; nothing may be left and none be stuck.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil
import requests

from tests.running_service import RunningService

WAITING_JOBS = 2  # that there are at least
SECONDS_TO_END = 1200.0  # for the last jobs, when the killing is over


class Trial:
    def __init__(self, service: RunningService, seed: int) -> None:
        self.service, self.random = service, random.Random(seed)
        self.accepted: dict[str, str] = {}  # code to kind
        self.cancelled: set[str] = set()
        self.kills: collections.Counter = collections.Counter()
        self.longest_silence = 0.0
        self.requests = 0

    def pause(self, seconds: float) -> None:
        """The system goes on, is tended, and is looked at."""
        from django.utils import timezone

        from diffuser_api.models import Job

        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.service.tend()
            beats = Job.objects.filter(status="running").values_list("heartbeat_at", flat=True)
            silences = [(timezone.now() - beat).total_seconds() for beat in beats if beat]
            self.longest_silence = max([self.longest_silence, *silences])
            time.sleep(0.5)

    def submit(self) -> None:
        """As a careful client does: with a key, and again until there is an answer."""
        from diffuser_api.models import LoraModel

        self.requests += 1
        key = f"request {self.requests}"
        kind = self.random.choices(["generation", "training"], [2, 1])[0]
        loras = list(LoraModel.objects.values_list("code", flat=True)) if self.random.random() < 0.5 else []
        lora = self.random.choice(loras) if loras else ""
        while True:
            try:
                answer = self.service.train(key) if kind == "training" else self.service.ask(key, lora)
                break
            except requests.ConnectionError:
                self.pause(0.5)
        if answer.status_code != 202:
            raise SystemExit(f"{kind} answered with {answer.status_code}: {answer.text[:300]}")
        self.accepted[answer.json().get("code") or answer.json()["lora_code"]] = kind

    def cancel_one(self, unfinished: list[str]) -> None:
        code = self.random.choice(unfinished)
        try:
            answer = requests.post(f"{self.service.url}/api/jobs/{code}/cancel/", timeout=60)
        except requests.ConnectionError:
            return
        if answer.status_code == 202:
            self.cancelled.add(code)

    def kill_one(self) -> None:
        roles = collections.defaultdict(list)
        for role, process in self.service.tree():
            roles[role].append(process)
        role = self.random.choice(sorted(roles))
        try:
            self.random.choice(roles[role]).kill()
            self.kills[role] += 1
        except psutil.NoSuchProcess:
            pass

    def unfinished(self) -> list[str]:
        from diffuser_api.models import Job

        return list(Job.objects.filter(status__in=("queued", "running")).values_list("code", flat=True))

    def run(self, kills: int, shortest: float, longest: float) -> None:
        while sum(self.kills.values()) < kills:
            self.pause(self.random.uniform(shortest, longest))
            unfinished = self.unfinished()
            for _ in range(WAITING_JOBS - len(unfinished)):
                self.submit()
            if unfinished and self.random.random() < 0.1:
                self.cancel_one(unfinished)
            self.kill_one()
        end = time.monotonic() + SECONDS_TO_END
        while self.unfinished() and time.monotonic() < end:
            self.pause(1.0)

    def faults(self) -> list[str]:
        """What isn't as it must be, now that all is quiet."""
        from diffuser_api.models import Job, LoraModel

        faults = []
        rows = {job.code: job for job in Job.objects.all()}
        if set(rows) != set(self.accepted):
            faults.append(f"lost or doubled: {set(rows) ^ set(self.accepted)}")
        outputs = [path.name for path in (self.service.folder / "data/outputs").glob("*")]
        weights = [path.name for path in (self.service.folder / "data/loras").glob("*")]
        for code, job in rows.items():
            results = [name for name in outputs + weights if name.startswith(code)]
            if len(results) != (job.status == "succeeded"):
                faults.append(f"{code} {job.status}, with the files {results}")
            if job.kind == "training" and LoraModel.objects.filter(code=code).count() != len(results):
                faults.append(f"{code}: LoRA row and file differ")
            if job.status not in ("succeeded", "failed", "cancelled"):
                faults.append(f"{code} is still {job.status}")
            if job.status == "failed" and "3 attempts" not in job.error_message:
                faults.append(f"{code} failed before its third attempt: {job.error_message}")
            if (job.status == "cancelled") != (code in self.cancelled):
                faults.append(f"{code} {job.status}, cancelled by us: {code in self.cancelled}")
        if left := self.service.working_files():
            faults.append(f"left: {left}")
        if self.longest_silence > 60:
            faults.append(f"a running job was silent for {self.longest_silence:.0f} s")
        return faults


def processes_left(folder: Path) -> list[str]:
    """Of all that was started for this folder, once web and worker have been asked to end."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DATA_DIR") == str(folder / "data") and process.pid != os.getpid():
                left.append(" ".join(process.cmdline())[:100])
        except psutil.Error:
            continue
    return left


def set_up(service: RunningService) -> None:
    """This process reads the rows as well."""
    os.environ.update({name: service.environment[name] for name in service.environment})
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "djangoproject.settings"
    os.environ["LOG_LEVEL"] = "ERROR"
    django.setup()


def try_it(kills: int, seed: int, shortest: float, longest: float, folder: Path) -> Trial:
    """Raises AssertionError with what is not as it must be."""
    service = RunningService(folder)
    set_up(service)
    trial = Trial(service, seed)
    try:
        trial.run(kills, shortest, longest)
        faults = sweep_and_look(trial)
    finally:
        service.stop()
    time.sleep(1)
    faults += [f"still runs: {words}" for words in processes_left(folder)]
    assert not faults, "\n".join(faults)
    return trial


def sweep_and_look(trial: Trial) -> list[str]:
    """After a last sweep that doesn't wait for files to be old."""
    from diffuser_api import sweep

    trial.pause(3.0)
    sweep.sweep()
    sweep.remove_files(writing_seconds=0)
    return trial.faults()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pause", type=float, nargs=2, default=(2.0, 10.0), help="seconds between kills")
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cartolina-kills-") as folder:
        try:
            trial = try_it(args.kills, args.seed, *args.pause, Path(folder))
        except AssertionError as faults:
            for name in ("worker", "web"):
                log = (Path(folder) / f"{name}.log").read_text(errors="replace")
                Path(tempfile.gettempdir(), f"cartolina-kills-{name}.log").write_text(log)
            sys.exit(f"{faults}\nThe logs are in {tempfile.gettempdir()}/cartolina-kills-*.log")
        from diffuser_api.models import Job

        ended = collections.Counter((job.kind, job.status, job.attempt) for job in Job.objects.all())
    print(
        f"{sum(trial.kills.values())} kills in {time.monotonic() - started:.0f} s, seed {args.seed}: ", end=""
    )
    print(", ".join(f"{role} {count}" for role, count in sorted(trial.kills.items())))
    print(f"{len(trial.accepted)} jobs accepted, none lost, doubled or stuck; nothing left")
    print(f"longest time without a heartbeat: {trial.longest_silence:.0f} s")
    print("kind        status     attempt  jobs")
    for (kind, status, attempt), count in sorted(ended.items()):
        print(f"{kind:11} {status:10} {attempt:7}  {count:4}")


if __name__ == "__main__":
    main()
