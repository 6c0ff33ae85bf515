"""The queue's messages ("there is work"): sent by the Tasks API, looked after in django-tasks-db's table.

The only module that knows that table: another queue looks after its messages in its own way.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.utils import timezone
from django_tasks import TaskResultStatus
from django_tasks_db.models import DBTaskResult

from diffuser_api.jobs import processes

log = logging.getLogger(__name__)
KEPT = timedelta(days=1)  # what is done with, for those who look for the cause of something
AGAIN = 10  # the priority of a job that has been taken before: it doesn't go to the end of the queue


def send(code: str, *, again: bool = False) -> None:
    """In the caller's transaction, so that message and row come together."""
    from diffuser_api.jobs.tasks import run_job

    run_job.using(priority=AGAIN if again else 0).enqueue(code)


def _of_jobs():
    from diffuser_api.jobs.tasks import run_job

    return DBTaskResult.objects.filter(task_path=run_job.module_path)


def waiting() -> int:
    """How many messages wait."""
    return _of_jobs().filter(status=TaskResultStatus.READY).count()


def release() -> int:
    """Messages of any task that a dead worker of this machine had taken wait again; returns how many."""
    released = 0
    for message in DBTaskResult.objects.filter(status=TaskResultStatus.RUNNING):
        worker = message.worker_ids[-1]
        if processes.is_here(worker) and not processes.is_alive(worker):
            released += DBTaskResult.objects.filter(pk=message.pk, status=TaskResultStatus.RUNNING).update(
                status=TaskResultStatus.READY, started_at=None
            )
    if released:
        log.warning("%d messages of dead workers wait again", released)
    return released


def forget(codes: set[str]) -> None:
    """Removes every message of these jobs."""
    for code in codes:
        _of_jobs().filter(args_kwargs__args__0=code).delete()


def is_there(message: DBTaskResult) -> bool:
    return DBTaskResult.objects.filter(pk=message.pk).exists()


def forget_old() -> int:
    """Removes what was taken long ago, finished or not: a job that still waits gets a new message."""
    return DBTaskResult.objects.filter(started_at__lt=timezone.now() - KEPT).delete()[0]
