"""The parts that jobs need, each with "ok" or the advice that mends it."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import DatabaseError, connection
from django.db.models.functions import Now

from diffuser_api.models import Job
from diffuser_api.operations import disk, workers
from diffuser_api.operations.checks import missing_models

LONGEST_SILENCE = timedelta(minutes=2)  # a job that waits longer while none runs: no worker is there


def parts() -> dict[str, str]:
    return {
        "database": _database(),
        "queue": _queue(),
        "disk": disk.problem() or "ok",
        **({"storage": _storage()} if settings.BUCKET else {}),
        "models": _models(),
        "worker": _worker(),
    }


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return "ok"
    except DatabaseError:
        return "not reachable; look at DATABASE_URL"


def _queue() -> str:
    """The rows of jobs are the queue."""
    try:
        Job.objects.exists()
        return "ok"
    except DatabaseError:
        return "not migrated or not reachable; run `manage.py migrate`"


def _storage() -> str:
    return "not usable; look at STORAGE_URL" if default_storage.problem() else "ok"


def _models() -> str:
    missing = len(missing_models())  # strangers are not told the folders' names
    return f"{missing} are missing; `manage.py models` says what to do" if missing else "ok"


def _worker() -> str:
    """A worker is alive if jobs move: it takes a waiting one, or is at work on another."""
    since = Now() - LONGEST_SILENCE  # of the database's clock, as those of machines differ
    try:
        waiting = Job.objects.filter(status=Job.Status.QUEUED, created_at__lt=since)
        at_work = Job.objects.filter(status=Job.Status.RUNNING, heartbeat_at__gte=since)
        ended = Job.objects.filter(finished_at__gte=since)
        if waiting.exists() and not at_work.exists() and not ended.exists():
            return "jobs wait and none runs; start a worker"
        if served := frozenset().union(*(worker.steps for worker in workers.serving())):
            rows = waiting.order_by().values_list("next_step", "kind").distinct()
            unserved = {step or workers.FIRST_STEPS[kind] for step, kind in rows} - served
            if unserved:
                steps = ", ".join(sorted(unserved))
                return f"jobs wait for {steps}, which no worker serves; start one with it in WORKER_STEPS"
    except DatabaseError:
        return "unknown while the database doesn't answer"
    return "ok"
