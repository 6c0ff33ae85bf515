"""Which workers there are, and for which steps each of them takes jobs.

Estimates and advice depend on these rows, and which worker searches the bucket for all. So a row may be late:
a worker that was killed counts for a while longer. No job is claimed by them.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import NamedTuple

from django.db.models.functions import Now

from diffuser_api.models import Job, Worker
from generation.step_table import ORDER, STEPS, TRAIN

ALL_STEPS = (TRAIN, *STEPS)
FIRST_STEPS = {Job.Kind.TRAINING: TRAIN, Job.Kind.GENERATION: ORDER[0]}
SILENT = timedelta(seconds=90)  # a worker writes its row with each sweep, every half minute


class Serving(NamedTuple):
    name: str
    steps: frozenset[str]


def register(name: str, steps: Collection[str]) -> None:
    """Write that the worker is there."""
    Worker.objects.update_or_create(name=name, defaults={"steps": list(steps), "seen_at": Now()})


def leave(name: str) -> None:
    Worker.objects.filter(name=name).delete()


def forget_silent() -> None:
    Worker.objects.filter(seen_at__lt=Now() - SILENT).delete()


def serving() -> list[Serving]:
    """The workers that were seen a short time ago, by the database's clock."""
    seen = Worker.objects.filter(seen_at__gte=Now() - SILENT).order_by("pk")
    return [Serving(name, frozenset(steps)) for name, steps in seen.values_list("name", "steps")]


def is_first(name: str) -> bool:
    """Whether the worker has been there for the longest time. If it dies or hangs, the next one is the first
    soon."""
    return [worker.name for worker in serving()[:1]] == [name]
