"""Kills what a fleet consists of, and cuts its network, while jobs of both kinds come in.

    python -m benchmarks.outages --rounds 200 --seed 1 --broker redis

Two web servers, a sender of webhooks and four workers are machines of a network of their own. They share
real servers: PostgreSQL, Redis or RabbitMQ, and an S3 server. The clocks of some are five minutes ahead or
behind. Steps and trainings only wait. Every accepted job must end, with its one result or with its reason,
and tell its end once; nothing may be left in any folder, queue or bucket, and no job may be stuck. For root
on Linux.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import psutil
import requests

from benchmarks import kills
from benchmarks.harness import fleet, small_disks
from benchmarks.harness.receivers import receiving, status

LONGEST_SILENCE = (
    60.0  # of a running job, and of a fleet with queued jobs of which none runs; faults not counted
)
SECONDS_OF_SWEEPS = 75.0  # after which machines have swept up twice
FAULTS = {
    "process killed": 60,
    "worker killed at its claim": 8,
    "broker restarted": 6,
    "database restarted": 6,
    "storage restarted": 4,
    "storage away for 30 s": 2,
    "storage full for 15 s": 2,
    "machine without answers of a server": 6,
    "machine without network": 4,
}
CUT = (5.0, 40.0)  # seconds


class Outages(kills.Trial):
    pause_seconds = (1.0, 6.0)

    def __init__(self, service: fleet.Fleet, seed: int, seconds: float) -> None:
        super().__init__(service, seed)
        self.seconds = seconds
        self.killed: collections.Counter = collections.Counter()  # by the process's role
        self.is_disturbed = False
        self.silent: dict[
            str, tuple
        ] = {}  # by code: the last heartbeat, and seconds since then without faults
        self.idle = self.longest_idle = 0.0
        self.recovery = 0.0  # seconds from the last fault until the last job's end
        self.refused: collections.Counter = collections.Counter()

    # --- faults --------------------------------------------------------------------------------------------

    def strike(self) -> None:
        fault = self.random.choices(list(FAULTS), list(FAULTS.values()))[0]
        ways = {
            "process killed": self.kill_process,
            "worker killed at its claim": self.kill_at_claim,
            "broker restarted": lambda: self.restart(self.service.broker, self.random.uniform(0, 10)),
            "database restarted": lambda: self.restart(self.service.database, self.random.uniform(0, 5)),
            "storage restarted": lambda: self.restart(self.service.storage, 0),
            "storage away for 30 s": lambda: self.restart(self.service.storage, 30),
            "storage full for 15 s": self.fill,
            "machine without answers of a server": self.cut,
            "machine without network": self.unplug,
        }
        self.struck[fault] += 1
        print(f"{time.strftime('%H:%M:%S')} {fault}", flush=True)
        ways[fault]()

    def kill_process(self) -> None:
        before = self.struck.copy()
        super().strike()
        self.killed += self.struck - before
        self.struck = before

    def kill_at_claim(self) -> None:
        from diffuser_api.models import Job

        before, end = set(self._running()), time.monotonic() + 10
        while not (new := set(self._running()) - before) and time.monotonic() < end:
            time.sleep(0.02)
        for worker in Job.objects.filter(code__in=[code for code, _ in new]).values_list("worker", flat=True):
            if machine := worker and self.service.machine_of(worker):
                with contextlib.suppress(psutil.Error, IndexError):
                    self.service.first(machine).kill()

    def _running(self) -> list[tuple[str, str]]:
        from diffuser_api.models import Job

        return list(Job.objects.filter(status="running").values_list("code", "worker"))

    @contextlib.contextmanager
    def disturbed(self):
        self.is_disturbed = True
        try:
            yield
        finally:
            self.is_disturbed = False

    def restart(self, server, away: float) -> None:
        """Ended without a warning, as by a power cut."""
        with self.disturbed():
            kill_server(server)
            try:
                self.pause(away)
            finally:
                server.start()

    def fill(self) -> None:
        with self.disturbed(), small_disks.full(self.service.storage.folder / "data"):
            self.pause(15)

    def cut(self) -> None:
        machine = self.random.choice(list(fleet.MACHINES))
        server = self.random.choice(["database", "broker", "storage"])
        with self.disturbed():
            self.service.network.cut(machine, server)
            try:
                self.pause(self.random.uniform(*CUT))
            finally:
                self.service.network.join(machine, server)

    def unplug(self) -> None:
        machine = self.random.choice(list(fleet.MACHINES))
        with self.disturbed():
            self.service.network.unplug(machine)
            try:
                self.pause(self.random.uniform(*CUT))
            finally:
                self.service.network.plug_in(machine)

    # --- the client ----------------------------------------------------------------------------------------

    def submit(self) -> None:
        self.requests += 1
        kind = self.random.choices(["generation", "training"], [4, 1])[0]
        lora = self.random.choice([*self._loras(), "", ""])
        key, ask = f"request {self.requests}", self.service.train if kind == "training" else self.service.ask
        while True:
            with contextlib.suppress(requests.RequestException):
                answer = ask(key) if kind == "training" else ask(key, lora)
                if answer.status_code == 202:
                    break
                self.refused[answer.status_code] += 1
                if answer.status_code not in (429, 500, 503):
                    raise SystemExit(f"{kind} answered with {answer.status_code}: {answer.text[:300]}")
                if answer.status_code == 500:
                    self.faults.append(f"{kind} answered with 500")
            self.pause(1)
        self.accepted[answer.json().get("code") or answer.json()["lora_code"]] = kind

    def _loras(self) -> list[str]:
        from diffuser_api.models import LoraModel

        return list(LoraModel.objects.values_list("code", flat=True))

    def cancel(self, code: str) -> None:
        with contextlib.suppress(requests.RequestException):
            super().cancel(code)

    # --- what is seen --------------------------------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        from django.db import Error, connection

        end = time.monotonic() + seconds
        while True:
            self.service.tend()
            try:
                self.see()
            except Error:
                connection.close()
            if (left := end - time.monotonic()) <= 0:
                return
            time.sleep(min(0.5, left))

    def see(self) -> None:
        from diffuser_api.models import Job

        now = time.monotonic()
        passed = 0.0 if self.is_disturbed else min(1.0, now - getattr(self, "seen_at", now))
        self.seen_at = now
        rows = Job.objects.filter(status__in=("queued", "running")).values_list(
            "code", "status", "heartbeat_at"
        )
        before, self.silent = self.silent, {}
        for code, state, beat in rows:
            if state == "running":
                last, silent = before.get(code, (beat, 0.0))
                self.silent[code] = (beat, silent + passed if last == beat else 0.0)
        self.longest_silence = max([self.longest_silence, *(silent for _, silent in self.silent.values())])
        waits = any(state == "queued" for _, state, _ in rows) and not self.silent
        self.idle = self.idle + passed if waits else 0.0
        self.longest_idle = max(self.longest_idle, self.idle)

    def unfinished(self) -> list[str]:
        return self._asked(super().unfinished)

    def untold(self) -> bool:
        return self._asked(super().untold)

    def _asked(self, question):
        from django.db import Error, connection

        while True:
            try:
                return question()
            except Error:
                connection.close()
                self.pause(1)

    def run(self, rounds: int) -> None:
        """Fewer rounds if they take longer than ``seconds``."""
        end = time.monotonic() + self.seconds
        while self.struck.total() < rounds and time.monotonic() < end:
            self.begin_round()
            self.strike()
        ended = time.monotonic()
        self.finish()
        self.recovery = time.monotonic() - ended

    def look(self, told: list[bytes]) -> None:
        from diffuser_api.jobs import sweep

        self.look_at_messages()
        self.pause(SECONDS_OF_SWEEPS)
        sweep.remove_files(writing_seconds=0)
        stored = collections.defaultdict(list)
        for folder, *rest in (name.split("/") for name in self.service.storage.names()):
            stored[folder] += rest[-1:]
        self.look_at_jobs([*stored["outputs"], *stored["loras"]], told)
        if left := self.service.working_files():
            self.faults.append(f"left in folders: {[str(path) for path in left]}")
        if left := [*stored["photos"], *stored["work"]]:
            self.faults.append(f"left in the bucket: {left}")
        if self.longest_silence > LONGEST_SILENCE:
            self.faults.append(f"a running job was silent for {self.longest_silence:.0f} s")
        if self.longest_idle > LONGEST_SILENCE:
            self.faults.append(f"jobs waited for {self.longest_idle:.0f} s while none ran")

    def may_fail(self, job) -> bool:
        return super().may_fail(job) or job.error_code == "disk_full"

    def look_at_messages(self) -> None:
        """Every worker of Celery's still takes messages, and none is left."""
        from diffuser_api.jobs import celery_app

        def taken() -> dict[str, int]:
            stats = celery_app.app.control.inspect(timeout=3).stats() or {}
            return {name: one["total"].get(celery_app.WORK, 0) for name, one in stats.items()}

        before = taken()
        if len(before) != len(fleet.CELERYS):
            self.faults.append(f"of Celery's workers, only these answer: {list(before)}")
        for step in ("train", "pose", "face"):
            celery_app.send(step)
        self.pause(5)
        after = taken()
        if deaf := [name for name in before if after.get(name, 0) <= before[name]]:
            self.faults.append(f"no longer take messages: {deaf}")
        with celery_app.app.connection_for_read() as asking:
            for name, one in celery_app.app.amqp.queues.items():
                if count := one(asking).queue_declare().message_count:
                    self.faults.append(f"left in the queue {name}: {count} messages")


def kill_server(server) -> None:
    for process in getattr(server, "processes", None) or [server.process]:
        for one in (*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)):
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait()
    if hasattr(server, "processes"):
        server.processes.clear()


def try_it(args: argparse.Namespace, folder: Path) -> Outages:
    with fleet.running(folder, args.broker) as service:
        kills.set_up(service)
        trial = Outages(service, args.seed, args.seconds)
        with receiving(status(204), host=service.network.address("client")) as receiver:
            service.webhook_url = receiver.url
            service.tend()
            trial.pause(20)
            try:
                trial.run(args.rounds)
                trial.look(receiver.requests)
                tell(trial)
            finally:
                service.stop()
    return trial


def tell(trial: Outages) -> None:
    from diffuser_api.models import Job

    for what, count in sorted(trial.struck.items()):
        print(f"{count:4} {what}")
    print(f"processes killed: {dict(sorted(trial.killed.items()))}")
    print(f"answers that put the client off: {dict(trial.refused)}")
    print(f"longest silence of a running job: {trial.longest_silence:.0f} s")
    print(f"longest time with queued jobs of which none ran: {trial.longest_idle:.0f} s")
    print(f"from the last fault to the last end: {trial.recovery:.0f} s")
    print("kind        status     attempt  error              jobs")
    ended = collections.Counter(
        (job.kind, job.status, job.attempt, job.error_code) for job in Job.objects.all()
    )
    for (what, state, attempt, error), count in sorted(ended.items()):
        print(f"{what:11} {state:10} {attempt:7}  {error:18} {count:4}")
    print(f"faults: {trial.faults or 'none'}", flush=True)  # even if a machine doesn't end in time


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3600, help="after which no other round begins")
    parser.add_argument("--broker", choices=fleet.brokers.BROKERS, default="redis")
    args = parser.parse_args()
    started = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the network must not stay
    with tempfile.TemporaryDirectory(prefix="cartolina-fleet-") as name:
        os.chmod(name, 0o755)
        try:
            trial = try_it(args, Path(name))
        finally:
            logs = Path(tempfile.gettempdir(), f"cartolina-fleet-{args.broker}-{args.seed}-logs")
            logs.mkdir(exist_ok=True)
            for log in Path(name).glob("*.log"):
                log.rename(logs / log.name)
    print(
        f"{trial.struck.total()} faults, seed {args.seed}, {args.broker}, {time.monotonic() - started:.0f} s"
    )
    if trial.faults:
        sys.exit("\n".join([*trial.faults, f"The logs are in {logs}."]))
    print(
        f"{len(trial.accepted)} jobs accepted, none lost, doubled or stuck; each end told once; nothing left"
    )


if __name__ == "__main__":
    main()
