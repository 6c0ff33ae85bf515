"""What a fleet costs its database: simulated workers on a real PostgreSQL, Redis and S3 server.

    python -m benchmarks.fleet --workers 1,4,8 --picture 6
    python -m benchmarks.fleet --workers 10,50,200 --picture 60 --history 100000

The workers are processes of Celery's pool. Their steps only wait, together for ``--picture`` seconds, and
tell their progress as often as real ones. All else is the product's. ``--history`` adds jobs that ended in
the last day. Five clients ask for pictures, one of them for as many as the other four together.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.harness import ROOT, brokers, object_storage, postgresql
from benchmarks.harness.simulated.steps import VARIABLE

SHARES = {
    "pose": 0.3,
    "detail": 0.15,
    "harmonize": 0.15,
    "face": 0.25,
}  # of a picture; it has two of "detail"
PICTURES_OF_A_WORKER = 3
SECONDS_IDLE = 15
CLIENTS = 5
OPTIONS = {"shared_preload_libraries": "pg_stat_statements", "max_connections": "1000", "fsync": "on"}
HISTORY = """
INSERT INTO diffuser_api_job (code, kind, status, attempt, worker, parameters, step, steps, progress, timings,
    tree_peak_mb, log, error_code, error_message, token_hash, output, webhook_url, visitor, gave_up,
    created_at, started_at, finished_at)
SELECT lpad(n::text, 8, '0'), 'generation', 'succeeded', 1, '', '{}', '', '["pose"]', 1, '[]',
    0, '', '', '', '', 'outputs/' || n || '.png', '', 'visitor ' || n / 5, false,
    now() - n * age, now() - n * age, now() - n * age
FROM generate_series(1, %s) AS n, (SELECT interval '1 day' / %s AS age) AS one
"""
HEAD = (
    "workers",
    "idle: statements/s",
    "idle: CPU of the database, %",
    "pictures",
    "pictures/s",
    "of the best possible, %",
    "statements a picture",
    "database's CPU, ms a picture",
    "log (WAL), KB a picture",
    "waiting, p50 s",
    "p95 s",
)


class Database:
    """What the server has done so far."""

    def __init__(self, server: postgresql.Server) -> None:
        self.process = psutil.Process(server.process.pid)
        self.seen = self._now()

    def _now(self) -> tuple[float, int, int, float]:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SELECT sum(calls), sum(wal_bytes) FROM pg_stat_statements")
            calls, log = cursor.fetchone()
        total = sum(self.process.cpu_times())  # those of its ended children too
        for one in self.process.children():
            with contextlib.suppress(psutil.Error):
                total += sum(one.cpu_times()[:2])
        return time.monotonic(), int(calls), int(log), total

    def since(self) -> tuple[float, int, int, float]:
        """Seconds, statements, bytes of the write-ahead log and seconds of CPU since the last call."""
        before, self.seen = self.seen, self._now()
        return tuple(now - then for now, then in zip(self.seen, before, strict=True))


@contextlib.contextmanager
def workers(count: int):
    """Until the end of the block, from when all have begun."""
    from diffuser_api.models import Worker

    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "benchmarks.harness.simulated.celery",
        "--quiet",
        "worker",
    ]
    command += ["--concurrency", str(count), "-Q", "pose,detail,harmonize,face", "--without-mingle"]
    with open(Path(os.environ["TMP_DATA_DIR"], "workers.log"), "ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while Worker.objects.count() < count:
            if process.poll() is not None:
                raise RuntimeError(Path(log.name).read_text()[-2000:])
            time.sleep(0.5)
        time.sleep(3)
        yield
    finally:
        process.terminate()
        process.wait(120)
        Worker.objects.all().delete()


def ask(number: int) -> None:
    """The first client asks for half of the pictures."""
    from benchmarks.harness.clients import make_job
    from diffuser_api.models import Client

    clients = [Client.objects.get_or_create(name=f"client {n}")[0] for n in range(CLIENTS)]
    for n in range(number):
        make_job(clients[0] if n % 2 else clients[1 + n // 2 % (CLIENTS - 1)])


def measure(count: int, picture: float, server: postgresql.Server) -> None:
    from django.db import transaction
    from django.utils import timezone

    from diffuser_api.models import Client, Job

    with workers(count):
        database = Database(server)
        time.sleep(SECONDS_IDLE)
        seconds, idle_calls, _, idle_cpu = database.since()
        idle_calls, idle_cpu = idle_calls / seconds, idle_cpu / seconds
        number = PICTURES_OF_A_WORKER * count
        database.since()
        with transaction.atomic():  # the workers see all of them at the same moment
            ask(number)
        mine, asked_at = Job.objects.exclude(client=None), timezone.now()
        while mine.filter(status__in=("queued", "running")).exists():
            time.sleep(1)
        seconds, calls, log, cpu = database.since()
    rows = list(mine.values_list("client", "status", "attempt", "started_at", "finished_at"))
    assert collections.Counter(row[1:3] for row in rows) == {("succeeded", 1): number}, rows
    rate = number / (max(row[4] for row in rows) - asked_at).total_seconds()
    waits = sorted((row[3] - asked_at).total_seconds() for row in rows)
    values = [
        f"{count}",
        f"{idle_calls:.1f}",
        f"{100 * idle_cpu:.1f}",
        f"{number}",
        f"{rate:.2f}",
        f"{100 * rate * picture / count:.0f}",
        f"{calls / number:.0f}",
        f"{1000 * cpu / number:.0f}",
        f"{log / number / 1024:.0f}",
        f"{statistics.median(waits):.1f}",
        f"{waits[int(0.95 * (len(waits) - 1))]:.1f}",
    ]
    print(f"| {' | '.join(values)} |", flush=True)
    order = [row[0] for row in sorted(rows, key=lambda row: row[3])]
    print(
        f"of the first {4 * CLIENTS} pictures, by client:",
        sorted(collections.Counter(order[: 4 * CLIENTS]).values()),
    )
    mine.delete()
    Client.objects.all().delete()


def tell_costs() -> None:
    """Of the calls that come most often, or read most."""
    from benchmarks.harness.clients import make_job
    from diffuser_api.jobs import queue, status_changes
    from diffuser_api.models import Job
    from diffuser_api.operations import metrics

    for n in range(100):
        Job.objects.create(code=f"8{n:07}", kind="generation", steps=["pose"], visitor=f"waiting {n}")
    last = make_job(visitor="last")
    calls = {
        "a claim, while 100 visitors wait": status_changes.claim_next,
        "position and estimate of the last of them": lambda: queue.eta_seconds(last, queue.ahead_of(last)),
        "/metrics": metrics.text,
    }
    for name, call in calls.items():
        times = []
        for _ in range(9):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        print(f"| {name} | {1000 * statistics.median(times):.0f} ms |")
    Job.objects.filter(visitor__startswith="waiting").delete()
    last.delete()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,4,8")
    parser.add_argument("--picture", type=float, default=6.0)
    parser.add_argument("--history", type=int, default=0)
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cartolina-fleet-")))
        server = stack.enter_context(postgresql.running(**OPTIONS))
        for name in ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR"):
            os.environ[name] = str(folder / name)
        os.environ |= {
            "DATABASE_URL": server.url,
            "CELERY_BROKER_URL": stack.enter_context(brokers.running("redis")).url,
            "STORAGE_URL": stack.enter_context(object_storage.running()).url,
            "DJANGO_SETTINGS_MODULE": "djangoproject.settings",
            "MAX_JOBS_WAITING": "100000",
            "LOG_LEVEL": "WARNING",
            VARIABLE: json.dumps({step: share * args.picture for step, share in SHARES.items()}),
        }
        for command in ("migrate", "load_demo"):
            subprocess.run([sys.executable, "manage.py", command, "-v", "0"], cwd=ROOT, check=True)
        import django

        django.setup()
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION pg_stat_statements")
            cursor.execute(HISTORY, [args.history, max(1, args.history)])
            cursor.execute("ANALYZE")
        print(f"A picture takes {args.picture:.0f} s; {args.history} jobs ended in the last day.")
        print(f"| {' | '.join(HEAD)} |\n|{' --- |' * len(HEAD)}")
        for count in args.workers.split(","):
            measure(int(count), args.picture, server)
        print("| call | takes |\n| --- | --- |")
        tell_costs()


if __name__ == "__main__":
    main()
