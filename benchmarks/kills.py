"""Kills a random process of the running system, again and again, while jobs of both kinds come in.

``python -m benchmarks.kills --rounds 200 --seed 1``. Small random models, so that much happens in little
time. Every accepted job must end, with its one result or with its reason, and tell its end once; nothing may
be left and none be stuck.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil
import requests

from benchmarks.harness.receivers import receiving, status
from benchmarks.harness.running_service import RunningService

WAITING_JOBS = 2  # that there are at least
SECONDS_TO_END = 1200.0  # for the last jobs, when the killing is over
LONGEST_SILENCE = 60.0  # seconds that a running job may go without a heartbeat
CUT_OFF = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)  # the web process was killed
ENDS = ("succeeded", "failed", "cancelled")


class Trial:
    """Something happens to the system in each of many rounds; then it must have kept all that it promises."""

    pause_seconds = (2.0, 10.0)  # between two rounds

    def __init__(self, service: RunningService, seed: int) -> None:
        self.service, self.random = service, random.Random(seed)
        self.accepted: dict[str, str] = {}  # code to kind
        self.asked_to_end: set[str] = set()
        self.cancelled: set[str] = set()  # of these, those of which we had an answer that says so
        self.struck: collections.Counter = collections.Counter()
        self.longest_silence = 0.0
        self.requests = 0
        self.faults: list[str] = []

    def strike(self) -> None:
        """Kill one process: each role is as likely as any other."""
        roles = collections.defaultdict(list)
        for role, process in self.service.tree():
            roles[role].append(process)
        role = self.random.choice(sorted(roles))
        with contextlib.suppress(psutil.NoSuchProcess):
            self.random.choice(roles[role]).kill()
            self.struck[role] += 1

    def run(self, rounds: int) -> None:
        for _ in range(rounds):
            self.begin_round()
            self.strike()
        self.finish()

    def begin_round(self) -> None:
        for _ in range(WAITING_JOBS - len(self.unfinished())):
            self.submit()
        self.pause(self.random.uniform(*self.pause_seconds))
        unfinished = self.unfinished()
        if unfinished and self.random.random() < 0.1:
            self.cancel(self.random.choice(unfinished))

    def finish(self) -> None:
        """Until the last job has ended, and its end was told."""
        end = time.monotonic() + SECONDS_TO_END
        while (self.unfinished() or self.untold()) and time.monotonic() < end:
            self.pause(1.0)

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
            with contextlib.suppress(*CUT_OFF):
                answer = self.service.train(key) if kind == "training" else self.service.ask(key, lora)
                break
            self.pause(0.5)
        if answer.status_code != 202:
            raise SystemExit(f"{kind} answered with {answer.status_code}: {answer.text[:300]}")
        self.accepted[answer.json().get("code") or answer.json()["lora_code"]] = kind

    def cancel(self, code: str) -> None:
        self.asked_to_end.add(code)
        with contextlib.suppress(*CUT_OFF):
            answer = requests.post(f"{self.service.url}/api/jobs/{code}/cancel/", timeout=60)
            if answer.status_code == 202:
                self.cancelled.add(code)

    def unfinished(self) -> list[str]:
        from diffuser_api.models import Job

        return list(Job.objects.filter(status__in=("queued", "running")).values_list("code", flat=True))

    def untold(self) -> bool:
        from diffuser_api.models import Webhook

        return Webhook.objects.filter(status="pending").exists()

    def look(self, told: list[bytes]) -> None:
        """What isn't as it must be, now that all is quiet. ``told``: the webhooks that came."""
        from diffuser_api.jobs import sweep

        self.pause(3.0)
        sweep.sweep()
        sweep.remove_files(writing_seconds=0)
        sweep.remove_uploads(seconds=0)
        finished = [*self.service.folder.glob("data/outputs/*"), *self.service.folder.glob("data/loras/*")]
        self.look_at_jobs([path.name for path in finished], told)
        if left := self.service.working_files():
            self.faults.append(f"left: {left}")
        if self.longest_silence > LONGEST_SILENCE:
            self.faults.append(f"a running job was silent for {self.longest_silence:.0f} s")

    def look_at_jobs(self, files: list[str], told: list[bytes]) -> None:
        """Of each job its end, its files, its LoRA's row and its webhooks. ``files``: the names of finished
        pictures and LoRAs, which begin with their job's code."""
        from diffuser_api.models import Job, LoraModel

        rows = {job.code: job for job in Job.objects.all()}
        if set(rows) != set(self.accepted):
            self.faults.append(f"lost or doubled: {set(rows) ^ set(self.accepted)}")
        ends = ends_told(told)
        for code, job in rows.items():
            results = [name for name in files if name.startswith(code)]
            if len(results) != (job.status == "succeeded"):
                self.faults.append(f"{code} {job.status}, with the files {results}")
            if job.kind == "training" and LoraModel.objects.filter(code=code).count() != len(results):
                self.faults.append(f"{code}: LoRA row and file differ")
            if job.status not in ENDS:
                self.faults.append(f"{code} is still {job.status}")
            if job.status == "failed" and not self.may_fail(job):
                self.faults.append(f"{code} failed before its third attempt: {job.error_message}")
            if job.status == "cancelled" and code not in self.asked_to_end:
                self.faults.append(f"{code} was cancelled by nobody")
            if job.status != "cancelled" and code in self.cancelled:
                self.faults.append(f"{code} {job.status}, though it was told that it is cancelled")
            if ends[code] != {job.status: 1}:
                self.faults.append(f"{code} {job.status}, but its ends as told: {dict(ends[code])}")

    def may_fail(self, job) -> bool:
        return "3 attempts" in job.error_message


def ends_told(requests_: list[bytes]) -> dict[str, collections.Counter]:
    """By code: how many messages told of each end. The same message may come again, with the same id."""
    messages = {}
    for request in requests_:
        head, _, body = request.partition(b"\r\n\r\n")
        [name] = [line for line in head.lower().split(b"\r\n") if line.startswith(b"webhook-id:")]
        messages[name] = json.loads(body)["data"]
    ends = collections.defaultdict(collections.Counter)
    for data in messages.values():
        if data["status"] in ENDS:
            ends[data["code"]][data["status"]] += 1
    return ends


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
    os.environ.update(service.environment)
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "djangoproject.settings"
    os.environ["LOG_LEVEL"] = "ERROR"
    django.setup()


def try_it(kind: type[Trial], rounds: int, seed: int, folder: Path) -> Trial:
    """The trial, with its faults."""
    networks = {"WEBHOOK_ALLOW_HTTP": "1", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8"}
    service = RunningService(folder, beside=("worker", "webhooks"), **networks)
    set_up(service)
    trial = kind(service, seed)
    with receiving(status(204)) as receiver:
        service.webhook_url = receiver.url
        service.tend()
        try:
            trial.run(rounds)
            trial.look(receiver.requests)
        finally:
            service.stop()
    time.sleep(1)
    trial.faults += [f"still runs: {words}" for words in processes_left(folder)]
    return trial


def main(kind: type[Trial]) -> None:
    parser = argparse.ArgumentParser(description=sys.modules[kind.__module__].__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cartolina-trial-") as name:
        trial = try_it(kind, args.rounds, args.seed, Path(name))
        logs = Path(tempfile.gettempdir(), f"cartolina-{args.seed}-logs")
        if trial.faults:
            logs.mkdir(exist_ok=True)
            for log in Path(name).glob("*.log"):
                log.rename(logs / log.name)
        from diffuser_api.models import Job

        ended = collections.Counter((job.kind, job.status, job.attempt) for job in Job.objects.all())
    took = f"{args.rounds} rounds in {time.monotonic() - started:.0f} s, seed {args.seed}"
    print(took, *(f"{what} {count}" for what, count in sorted(trial.struck.items())), sep=", ")
    print(f"longest time without a heartbeat: {trial.longest_silence:.0f} s")
    print("kind        status     attempt  jobs")
    for (what, state, attempt), count in sorted(ended.items()):
        print(f"{what:11} {state:10} {attempt:7}  {count:4}")
    if trial.faults:
        sys.exit("\n".join([*trial.faults, f"The logs are in {logs}."]))
    print(
        f"{len(trial.accepted)} jobs accepted, none lost, doubled or stuck; each end told once; nothing left"
    )


if __name__ == "__main__":
    main(Trial)
