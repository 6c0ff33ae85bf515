"""The queue: the order of the queued jobs, the limits on their number, and the time until a job ends.

This module only reads the rows. ``status_changes`` changes them.
"""

from __future__ import annotations

import itertools
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from diffuser_api.jobs import pauses
from diffuser_api.jobs.pauses import Running
from diffuser_api.models import Job, LoraModel
from diffuser_api.operations import workers
from diffuser_api.operations.workers import ALL_STEPS, FIRST_STEPS, Serving

SECONDS_TO_RETRY = 60  # told to a client with too many jobs, as long as no job's duration is known
# A client whose last turn began longer ago counts as new. Each look at the order reads the jobs since then.
TURN_MEMORY = timedelta(hours=1)
LONG_AGO = datetime.min.replace(tzinfo=UTC)
UNFINISHED = (Job.Status.QUEUED, Job.Status.RUNNING)
SHARE = 0.2  # of MAX_JOBS_WAITING, for one visitor
# Not through the relation: Django would put an UPDATE's whole condition into a subquery, and PostgreSQL
# doesn't look at a subquery again after it has waited for another UPDATE of the row. Both would win.
LORA_IS_ERASED = Exists(LoraModel.with_erased.filter(pk=OuterRef("lora"), is_erased=True))
CLAIMABLE = Q(status=Job.Status.QUEUED) & ~LORA_IS_ERASED
ANY_WORKER = Serving("", frozenset(ALL_STEPS))  # stands in as long as no worker is there
ENOUGH_PROGRESS = 0.1  # of a job to learn from its own pace
OUTLOOK_SECONDS = 1.0  # so old may positions and estimates be that are told to those who wait
NEW_SECONDS = 0.1  # the same, for a job that was queued after the look
JOBS_TO_LEARN_FROM = 20  # the estimate is the median duration of so many jobs of the same kind


class QueueFull(Exception):
    """The caller has the highest allowed number of jobs in the queue, or would have more with the ``asked``
    new ones. ``seconds``: when to try again."""

    def __init__(self, number: int, seconds: int, asked: int = 1):
        if asked == 1:
            text = gettext("{count} of your jobs are waiting, and no more are taken.").format(count=number)
        else:
            text = gettext("{count} of your jobs are waiting, and there is no room for {asked} more.")
            text = text.format(count=number, asked=asked)
        super().__init__(text)
        self.seconds = seconds


class VisitorBusy(QueueFull):
    """The visitor has the highest allowed number of unfinished jobs (queued or running)."""


def check_room(job: Job, at_once: int | None = None, asked: int = 1) -> None:
    """Check the limits for a job that isn't saved yet. Raises QueueFull.

    ``asked``: how many such jobs are to be saved, all or none. ``at_once``: how many unfinished jobs the
    visitor may have. Three limits apply to queued jobs:

    - A client may have MAX_JOBS_WAITING. If the visitors' IP addresses are known, this limit is for each IP
      address instead: so one IP address can't fill the queue for the others.
    - A visitor may have the share SHARE of MAX_JOBS_WAITING.
    - Many visitors can have the same IP address. When an IP address has used up the share, only those of its
      visitors who have no queued job may add one.

    Call this before work is spent on the job, and again inside the transaction that saves it, so that two
    requests at the same moment can't pass the limits together.
    """
    mine = Job.objects.filter(client=job.client, visitor=job.visitor)
    if at_once is not None:
        unfinished = mine.filter(status__in=UNFINISHED).count()
        if unfinished + asked > at_once:
            raise VisitorBusy(unfinished, _seconds_to_retry(job), asked)
    waiting = Job.objects.filter(client=job.client, status=Job.Status.QUEUED)
    if job.sender:
        waiting = waiting.filter(sender=job.sender)
    number, most = waiting.count(), settings.MAX_JOBS_WAITING
    share = max(1, round(most * SHARE))
    own = waiting.filter(visitor=job.visitor).count() if job.visitor else 0
    crowded = job.sender and own + asked > 1 and number + asked > share
    if number + asked > most or own + asked > share or crowded:
        raise QueueFull(number if number + asked > most else own, _seconds_to_retry(job), asked)


def _seconds_to_retry(job: Job) -> int:
    return round(typical_seconds(job.kind) or SECONDS_TO_RETRY)


# --- turns --------------------------------------------------------------------------------------------------


class Waiting(NamedTuple):
    """A queued job. The first fields are its owners, from the largest group to the smallest: the clients take
    turns, then the IP addresses of one client, then the visitors of one IP address."""

    client: int | None
    sender: str
    visitor: str
    pk: int
    kind: str
    steps: list[str]
    next_step: str
    progress: float
    created_at: datetime

    @property
    def steps_left(self) -> list[str]:
        """From the step on for which the job waits. The steps that an interrupted run has done count too."""
        steps = self.steps or [FIRST_STEPS[self.kind]]
        return steps[steps.index(self.next_step) :] if self.next_step in steps else steps


OWNERS = 3  # how many of the fields of Waiting are owners


def waits_for(steps: Collection[str]) -> Q:
    """The condition that a job waits for one of these steps."""
    if set(ALL_STEPS) <= set(steps):
        return Q()
    kinds = [kind for kind, first in FIRST_STEPS.items() if first in steps]
    return Q(next_step__in=steps) | Q(next_step="", kind__in=kinds)


def in_turn(steps: Collection[str] = ALL_STEPS) -> list[Waiting]:
    """The queued jobs in the order in which workers that serve ``steps`` will claim them.

    Jobs that were interrupted or handed on come first. Among the others, the owners take turns: every owner's
    first job comes before any owner's second job. Between two first jobs, the owner whose last turn began
    earlier goes first. A visitor's own jobs keep the order in which they were requested. With PAGES_FIRST,
    pictures whose visitors wait at a page then change places with others. A training that gave way comes
    after the pictures that it gave way to, and before all other jobs.
    """
    waiting = Job.objects.filter(CLAIMABLE & waits_for(steps)).order_by("pk")
    rows = list(waiting.values_list(*Waiting._fields, "gives_way_to", "started_at"))
    last_before = max((gives_way_to for *_, gives_way_to, _ in rows), default=0)
    groups: dict[tuple, list[Waiting]] = defaultdict(list)
    for *fields, gives_way_to, started_at in rows:
        job = Waiting(*fields)
        goes_before = job.kind == Job.Kind.GENERATION and job.pk <= last_before
        rank = 1 if gives_way_to else 0 if goes_before else 2
        groups[rank, started_at is None].append(job)
    owners = {job[:OWNERS] for group in groups.values() for job in group}
    last = _last_turns() if len(owners) > 1 else {}  # alone, nobody goes before or after others
    patient = _patient(waiting) if len(rows) > 1 else set()
    return [job for key in sorted(groups) for job in _pages_first(_take_turns(groups[key], last), patient)]


def _patient(waiting: QuerySet[Job]) -> set[int]:
    """The new pictures (pk) that others may still pass: each came with a webhook, so nobody need be waiting
    at a page, and a short time ago."""
    if not settings.PAGES_FIRST:
        return set()
    since = Now() - timedelta(seconds=settings.PAGES_FIRST)
    new = waiting.filter(kind=Job.Kind.GENERATION, started_at=None, created_at__gt=since)
    return set(new.exclude(webhook_url="").values_list("pk", flat=True))


def _pages_first(order: list[Waiting], patient: set[int]) -> list[Waiting]:
    """Pictures change places with pictures only: trainings come neither earlier nor later."""
    pictures = [job for job in order if job.kind == Job.Kind.GENERATION]
    sorted_ones = iter(sorted(pictures, key=lambda job: job.pk in patient))
    return [next(sorted_ones) if job.kind == Job.Kind.GENERATION else job for job in order]


def _last_turns() -> dict[tuple, datetime]:
    """When the last turn of each client, IP address and visitor began. A key is Waiting's first 1 to 3
    fields."""
    turns = Job.objects.filter(started_at__gt=timezone.now() - TURN_MEMORY).order_by()
    last: dict[tuple, datetime] = {}
    for *owner, began in turns.values_list(*Waiting._fields[:OWNERS]).annotate(Max("started_at")):
        for depth in range(1, OWNERS + 1):
            key = tuple(owner[:depth])
            last[key] = max(began, last.get(key, began))
    return last


def _take_turns(jobs: list[Waiting], last: dict[tuple, datetime], depth: int = 1) -> list[Waiting]:
    """The jobs of one owner in their order: its smaller owners (a client's IP addresses, say) take turns."""
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


# --- positions and estimates --------------------------------------------------------------------------------


class Place(NamedTuple):
    """``position``: how many jobs come before this one. ``end``: estimated seconds until it ends; None if no
    worker takes one of its steps. ``is_known``: whether there were earlier jobs to learn from."""

    position: int
    end: int | None
    is_known: bool


@dataclass(frozen=True)
class Outlook:
    """The queue as it was at one moment, with a place for each queued job. One look serves all who wait."""

    places: dict[int, Place]  # by the job's pk
    last: Place  # of a job that was queued after the look
    typical: dict[str, float | None]  # seconds, by kind of job

    def knows(self, job: Job) -> bool:
        return job.status != Job.Status.QUEUED or job.pk in self.places

    def position(self, job: Job) -> int | None:
        """None if the job isn't queued."""
        if job.status != Job.Status.QUEUED:
            return None
        return self.places.get(job.pk, self.last).position

    def eta_seconds(self, job: Job) -> int | None:
        """Estimated seconds until the job ends, from earlier jobs, or from its own progress if there are
        none. 0 if it has ended; None if nothing is known, or if no worker takes one of its steps."""
        if job.is_finished:
            return 0
        if job.status == Job.Status.QUEUED:
            place = self.places.get(job.pk, self.last)
            return place.end if place.is_known else _seconds_at_own_pace(job)
        typical = self.typical[job.kind]
        return _seconds_at_own_pace(job) if typical is None else round(typical * (1 - job.progress))


_kept: tuple[float, Outlook] | None = None  # when it was looked at, time.monotonic()
_looking = threading.Lock()


def recent_outlook(job: Job) -> Outlook:
    """An outlook that is at most OUTLOOK_SECONDS old, or NEW_SECONDS if the job was queued after it. Waiting
    clients ask often, and the answers to all of them follow from the same rows. While one thread looks, the
    others take the outlook before."""
    global _kept
    if _kept and time.monotonic() - _kept[0] < (OUTLOOK_SECONDS if _kept[1].knows(job) else NEW_SECONDS):
        return _kept[1]
    if _looking.acquire(blocking=not (_kept and OUTLOOK_SECONDS)):
        try:
            _kept = time.monotonic(), look()
        finally:
            _looking.release()
    return _kept[1]


def look() -> Outlook:
    turns, serving = in_turn(), workers.serving()
    rows = Job.objects.filter(status=Job.Status.RUNNING)
    running = list(rows.values_list("worker", "kind", "progress"))
    typical = {str(kind): typical_seconds(kind) for kind in Job.Kind}
    now = timezone.now()
    pictures = [job for job in turns if job.kind == Job.Kind.GENERATION]
    waits = [(job.steps_left[0], (now - job.created_at).total_seconds()) for job in pictures]
    given_way = pauses.expected(running, serving, waits, typical[Job.Kind.TRAINING])
    places: dict[int, Place] = {}
    for able in {_able(serving, job.steps_left[0]) for job in turns}:
        places |= _places(turns, running, serving, able, typical, given_way)
    return Outlook(places, Place(len(running) + len(turns), None, False), typical)


def _places(
    turns: list[Waiting],
    running: list[Running],
    serving: list[Serving],
    able: frozenset[str],
    typical: dict[str, float | None],
    given_way: dict[str, float],
) -> dict[int, Place]:
    """The places of the jobs whose next step is taken by the workers ``able``, and by no others.

    A running job counts if its worker could take such a job after it. So does a queued job that one of these
    workers takes. If no worker takes the step, all jobs count. ``given_way``: see ``pauses.expected``; all
    pictures that wait are then painted before any training goes on.
    """
    others = {worker.name for worker in serving} - able if able else set()
    before = sum(worker not in others for worker, _, _ in running)
    known = all(typical[kind] is not None for _, kind, _ in running)
    busy = _busy(running, serving or [ANY_WORKER], typical) if known else {}
    rest = {name: busy[name] - pause for name, pause in given_way.items()} if known else {}
    busy |= given_way if known else {}
    turns = [job for job in turns if not able or able & _able(serving, job.steps_left[0])]
    positions = {job.pk: before + n for n, job in enumerate(turns)}
    places = {}
    for job in sorted(turns, key=lambda job: job.kind == Job.Kind.TRAINING) if rest else turns:
        if job.kind == Job.Kind.TRAINING:
            busy, rest = {name: seconds + rest.get(name, 0.0) for name, seconds in busy.items()}, {}
        known = known and typical[job.kind] is not None
        seconds = typical[job.kind] * (1 - job.progress) if known else 0.0
        end = _end_of(job, seconds, serving or [ANY_WORKER], busy) if known else None
        if able == _able(serving, job.steps_left[0]):
            places[job.pk] = Place(positions[job.pk], None if end is None else round(end), known)
    return places


def _able(serving: list[Serving], step: str) -> frozenset[str]:
    return frozenset(worker.name for worker in serving if step in worker.steps)


def position(job: Job) -> int | None:
    """How many jobs come before this one now; None if it isn't queued."""
    return look().position(job) if job.status == Job.Status.QUEUED else None


def eta_seconds(job: Job) -> int | None:
    """The outlook's ``eta_seconds``, by the rows as they are now."""
    return look().eta_seconds(job)


def typical_seconds(kind: str) -> float | None:
    """The median duration of the last succeeded jobs of this kind; None if none has succeeded yet. Jobs that
    painted a face alone took less time, and don't count. Nor do trainings that gave way to pictures."""
    whole = Job.objects.filter(kind=kind, first=1, gives_way_to=0)
    finished = whole.filter(status=Job.Status.SUCCEEDED, started_at__isnull=False)
    last = finished.order_by("-finished_at").values_list("started_at", "finished_at", "next_step", "timings")
    seconds = [_duration(*row) for row in last[:JOBS_TO_LEARN_FROM]]
    return statistics.median(seconds) if seconds else None


def _duration(start: datetime, end: datetime, next_step: str, timings: list[dict]) -> float:
    """The seconds of work on a job; waiting between two workers doesn't count."""
    if next_step:
        return sum(value or 0 for one in timings for key, value in one.items() if key.endswith("_seconds"))
    return max(0.0, (end - start).total_seconds())  # never below 0: the clock may have been set back


def _seconds_at_own_pace(job: Job) -> int | None:
    if job.started_at is None or job.progress < ENOUGH_PROGRESS:
        return None
    gone = max(0.0, (timezone.now() - job.started_at).total_seconds())
    return round(gone * (1 - job.progress) / job.progress)


def _busy(
    running: list[Running], serving: list[Serving], typical: dict[str, float | None]
) -> dict[str, float]:
    """For how many seconds from now on each worker is busy."""
    busy = {worker.name: 0.0 for worker in serving}
    for name, kind, progress in running:
        busy[name if name in busy else min(busy, key=busy.get)] += typical[kind] * (1 - progress)
    return busy


def _end_of(job: Waiting, seconds: float, serving: list[Serving], busy: dict[str, float]) -> float | None:
    """Seconds until the job ends, if each of its steps goes to the worker that is free first. None if no
    worker serves one of its steps. The job's time is added to ``busy``."""
    end, left = 0.0, job.steps_left
    while left:
        able = [worker for worker in serving if left[0] in worker.steps]
        if not able:
            return None
        worker = min(able, key=lambda one: max(busy[one.name], end))
        done = list(itertools.takewhile(lambda step, worker=worker: step in worker.steps, left))
        end = max(busy[worker.name], end) + seconds * len(done) / len(job.steps_left)
        busy[worker.name] = end
        left = left[len(done) :]
    return end
