"""Workers that claim jobs at the same time, on PostgreSQL: with SKIP LOCKED as the product does, and with the
conditional UPDATE alone.

    python -m benchmarks.claims [WORKERS [JOBS]]

Each worker is a process that only claims. One look at the order of turns costs more than a claim, so a worker
that comes second should not have to look again.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import ROOT, postgresql

WAYS = ("skip locked", "conditional UPDATE, next in order", "conditional UPDATE, look again")


def _claim_all(way: str, begin, results) -> None:
    import django

    django.setup()
    from django.db import connection
    from django.db.models import QuerySet

    from diffuser_api.jobs import queue, status_changes

    if way != WAYS[0]:
        QuerySet.select_for_update = lambda rows, **options: rows
    statements, looks, claimed = [0], [0], 0

    def count(execute, *arguments):
        statements[0] += 1
        return execute(*arguments)

    look = queue.in_turn

    def counted_look(*steps):
        looks[0] += 1
        return look(*steps)

    queue.in_turn = counted_look
    connection.ensure_connection()
    begin.wait()
    with connection.execute_wrapper(count):
        while _look_again() if way == WAYS[2] else status_changes.claim_next():
            claimed += 1
    results.put((claimed, statements[0], looks[0]))


def _look_again():
    """Who comes second looks at the order once more."""
    from diffuser_api.jobs import queue, status_changes

    while waiting := queue.in_turn():
        if job := status_changes._claim(status_changes.Job.objects.filter(pk=waiting[0].pk)):
            return job
    return None


def measure(way: str, workers: int, jobs: int) -> None:
    subprocess.run([sys.executable, "-c", MAKE, str(jobs)], cwd=ROOT, check=True)
    context = multiprocessing.get_context("spawn")
    begin, results = context.Barrier(workers + 1), context.Queue()
    processes = [context.Process(target=_claim_all, args=(way, begin, results)) for _ in range(workers)]
    for process in processes:
        process.start()
    begin.wait()
    started = time.monotonic()
    rows = [results.get() for _ in processes]
    seconds = time.monotonic() - started
    for process in processes:
        process.join()
    claimed, statements, looks = map(sum, zip(*rows, strict=True))
    assert claimed == jobs, f"{claimed} claims of {jobs} jobs"
    print(f"| {way} | {claimed / seconds:.0f} | {statements / jobs:.1f} | {looks / jobs:.2f} |", flush=True)


MAKE = """
import sys, django
django.setup()
from diffuser_api.models import Job
Job.objects.all().delete()
codes = (f"{number:08}" for number in range(int(sys.argv[1])))
Job.objects.bulk_create(Job(code=code, kind="generation", steps=["pose"]) for code in codes)
"""


def main(workers: int = 8, jobs: int = 200) -> None:
    with postgresql.running() as server, tempfile.TemporaryDirectory() as folder:
        names = ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR")
        os.environ |= {name: str(Path(folder) / name) for name in names}
        os.environ |= {"DATABASE_URL": server.url, "DJANGO_SETTINGS_MODULE": "djangoproject.settings"}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v", "0"], cwd=ROOT, check=True)
        print(f"{workers} workers, {jobs} jobs\n| way | claims a second | statements a job | looks a job |")
        print("| --- | --- | --- | --- |")
        for way in WAYS:
            measure(way, workers, jobs)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
