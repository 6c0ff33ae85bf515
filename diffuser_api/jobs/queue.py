"""Whose turn it is among the waiting jobs, whether there is room for one more, and how long it takes.

Only reads; what becomes of the job whose turn it is, is up to ``status_changes``.
"""

from __future__ import annotations

import statistics
from collections import Counter
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from diffuser_api.models import Client, Job

SECONDS_TO_RETRY = 60  # what a client with too many jobs is told while no duration is known
TURN_MEMORY = timedelta(days=1)  # a client that had no turn for so long counts as new
CLAIMABLE = Q(status=Job.Status.QUEUED) & ~Q(lora__is_erased=True)
JOBS_TO_LEARN_FROM = 20  # the estimate is the median duration of the last so many of the kind


class QueueFull(Exception):
    """The client has as many jobs waiting as it may; ``seconds`` until it is worth another try."""

    def __init__(self, seconds: int):
        super().__init__(f"{settings.MAX_JOBS_WAITING} of your jobs are waiting, and no more are taken.")
        self.seconds = seconds


def check_room(client: Client | None) -> None:
    """Raises QueueFull. Inside the transaction that makes the job: on SQLite no race passes the limit."""
    waiting = Job.objects.filter(client=client, status=Job.Status.QUEUED)
    if waiting.count() >= settings.MAX_JOBS_WAITING:
        raise QueueFull(round(typical_seconds(waiting[0].kind) or SECONDS_TO_RETRY))


def in_turn() -> list[tuple[int, str]]:
    """(pk, kind) of the queued jobs in the order in which they will be claimed.

    A job that was broken off goes on first. Clients take turns: a client's first job comes before any other's
    second one, and of two firsts that one's whose client waits longer since its last turn began. Among a
    client's own jobs, who came first.
    """
    queued = list(
        Job.objects.filter(CLAIMABLE).order_by("pk").values_list("pk", "kind", "client", "started_at")
    )
    if not queued:
        return []
    turns = Job.objects.filter(started_at__gt=timezone.now() - TURN_MEMORY).order_by()
    last_turn = dict(turns.values_list("client").annotate(Max("started_at")))
    long_ago = datetime.min.replace(tzinfo=UTC)
    rounds, order = Counter(), []
    for pk, kind, client, started_at in queued:
        order.append((started_at is None, rounds[client], last_turn.get(client, long_ago), pk, kind))
        rounds[client] += 1
    return [(pk, kind) for *_, pk, kind in sorted(order)]


def queued_before(job: Job) -> list[str]:
    """The kinds of the queued jobs whose turn comes before that of this one."""
    turns = in_turn()
    pks = [pk for pk, _ in turns]
    return [kind for _, kind in turns[: pks.index(job.pk)]] if job.pk in pks else []


def position(job: Job, before: list[str] | None = None) -> int | None:
    """How many jobs are before this one; None when it waits no more. ``before``: of ``queued_before``."""
    if job.status != Job.Status.QUEUED:
        return None
    before = queued_before(job) if before is None else before
    return Job.objects.filter(status=Job.Status.RUNNING).count() + len(before)


def typical_seconds(kind: str) -> float | None:
    """Median duration of the last succeeded jobs of this kind; None when there was none yet."""
    finished = Job.objects.filter(kind=kind, status=Job.Status.SUCCEEDED, started_at__isnull=False)
    times = finished.order_by("-finished_at").values_list("started_at", "finished_at")[:JOBS_TO_LEARN_FROM]
    # Never below 0: the clock may have been set back during a job.
    seconds = [max(0.0, (end - start).total_seconds()) for start, end in times]
    return statistics.median(seconds) if seconds else None


def eta_seconds(job: Job, before: list[str] | None = None) -> int | None:
    """Seconds until the job is done, by what earlier jobs took; 0 when finished, None when unknown."""
    if job.is_finished:
        return 0
    left = [(job.kind, 1 - job.progress)]
    if job.status == Job.Status.QUEUED:
        running = Job.objects.filter(status=Job.Status.RUNNING).values_list("kind", "progress")
        before = queued_before(job) if before is None else before
        left += [(kind, 1 - done) for kind, done in running] + [(kind, 1.0) for kind in before]
    typical = {kind: typical_seconds(kind) for kind in {kind for kind, _ in left}}
    if None in typical.values():
        return None
    return round(sum(typical[kind] * share for kind, share in left))
