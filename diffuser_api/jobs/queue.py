"""Whose turn it is among the waiting jobs, whether there is room for one more, and how long it takes.

Only reads; what becomes of the job whose turn it is, is up to ``status_changes``.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Max, Q
from django.utils import timezone

from diffuser_api.models import Job

SECONDS_TO_RETRY = 60  # what a client with too many jobs is told while no duration is known
TURN_MEMORY = timedelta(days=1)  # a client that had no turn for so long counts as new
LONG_AGO = datetime.min.replace(tzinfo=UTC)
UNFINISHED = (Job.Status.QUEUED, Job.Status.RUNNING)
SHARE = 0.2  # of MAX_JOBS_WAITING, for one visitor
CLAIMABLE = Q(status=Job.Status.QUEUED) & ~Q(lora__is_erased=True)
JOBS_TO_LEARN_FROM = 20  # the estimate is the median duration of the last so many of the kind


class QueueFull(Exception):
    """As many jobs wait already as may; ``seconds`` until it is worth another try."""

    def __init__(self, number: int, seconds: int):
        super().__init__(f"{number} of your jobs are waiting, and no more are taken.")
        self.seconds = seconds


class VisitorBusy(QueueFull):
    """The visitor has as many unfinished jobs as one may have at a time."""


def check_room(job: Job, at_once: int | None = None) -> None:
    """For a job that isn't saved yet. ``at_once``: unfinished jobs that its visitor may have.

    MAX_JOBS_WAITING may wait of a client, or of an address where addresses are known: nobody can fill the
    queue of the others there. A visitor may fill a share of it. When an address has more jobs than that
    share, only its visitors who have no job waiting get in: many people may have one address.

    Raises QueueFull. Once inside the transaction that makes the job, so that no race passes the limits.
    """
    mine = Job.objects.filter(client=job.client, visitor=job.visitor)
    if at_once is not None and (unfinished := mine.filter(status__in=UNFINISHED).count()) >= at_once:
        raise VisitorBusy(unfinished, _seconds_to_retry(job))
    waiting = Job.objects.filter(client=job.client, status=Job.Status.QUEUED)
    if job.sender:
        waiting = waiting.filter(sender=job.sender)
    number, most = waiting.count(), settings.MAX_JOBS_WAITING
    share = max(1, round(most * SHARE))
    own = waiting.filter(visitor=job.visitor).count() if job.visitor else 0
    if number >= most or own >= share or (job.sender and own and number >= share):
        raise QueueFull(number if number >= most else own, _seconds_to_retry(job))


def _seconds_to_retry(job: Job) -> int:
    return round(typical_seconds(job.kind) or SECONDS_TO_RETRY)


# --- turns --------------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """Its first fields say whose the job is, from the outside in: clients take turns, the addresses of one
    client, and the visitors of one address."""

    client: int | None
    sender: str
    visitor: str
    pk: int
    kind: str


OWNERS = 3  # fields of Waiting


def in_turn() -> list[tuple[int, str]]:
    """(pk, kind) of the queued jobs in the order in which they will be claimed.

    A job that was broken off goes on first. All others take turns: one's first job comes before any other's
    second one, and of two firsts that one's whose owner waits longer since the last turn began. Among a
    visitor's own jobs, who came first.
    """
    rows = Job.objects.filter(CLAIMABLE).order_by("pk").values_list(*Waiting._fields, "started_at")
    begun, new = [], []
    for *fields, started_at in rows:
        (new if started_at is None else begun).append(Waiting(*fields))
    if not begun and not new:
        return []
    last = _last_turns()
    return [(job.pk, job.kind) for job in _take_turns(begun, last) + _take_turns(new, last)]


def _last_turns() -> dict[tuple, datetime]:
    """When the last turn of each client, address and visitor began; Waiting's first fields are the key."""
    turns = Job.objects.filter(started_at__gt=timezone.now() - TURN_MEMORY).order_by()
    last: dict[tuple, datetime] = {}
    for *owner, began in turns.values_list(*Waiting._fields[:OWNERS]).annotate(Max("started_at")):
        for depth in range(1, OWNERS + 1):
            key = tuple(owner[:depth])
            last[key] = max(began, last.get(key, began))
    return last


def _take_turns(jobs: list[Waiting], last: dict[tuple, datetime], depth: int = 1) -> list[Waiting]:
    """The jobs, all of one owner, with the owners inside it taking turns."""
    if depth > OWNERS:
        return jobs
    groups: dict[tuple, list[Waiting]] = defaultdict(list)
    for job in jobs:
        groups[job[:depth]].append(job)
    order = []
    for owner, group in groups.items():
        began = last.get(owner, LONG_AGO)
        order += [(n, began, job.pk, job) for n, job in enumerate(_take_turns(group, last, depth + 1))]
    return [job for *_, job in sorted(order)]


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
