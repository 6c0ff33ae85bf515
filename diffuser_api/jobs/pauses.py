"""To which pictures a running training gives way, and for estimates, when. ``giving_way`` does it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from django.conf import settings

from diffuser_api.jobs import processes
from diffuser_api.models import Job
from diffuser_api.operations.workers import Serving
from generation.models.profiles import get_profile
from generation.step_table import TRAIN

Running = tuple[str, str, float]  # worker, kind, progress


def steps_for(
    worker: str, steps: Collection[str], serving: Collection[Serving], training: Collection[str]
) -> set[str]:
    """Of the steps that the worker serves, those for whose pictures its training gives way: no other worker
    takes them, but for workers that are training, too. ``training``: the names of all of these."""
    others = [one for one in serving if one.name != worker]
    if not settings.TRAINING_YIELDS_AFTER or _could_be_taken_along(worker, others):
        return set()
    return (set(steps) - {TRAIN}).difference(*(one.steps for one in others if one.name not in training))


def _could_be_taken_along(worker: str, others: Collection[Serving]) -> bool:
    """Whether a worker of another machine could claim the training, and would have to begin it again."""
    here = processes.machine_of(worker)
    return not settings.BUCKET and any(
        TRAIN in one.steps and processes.machine_of(one.name) != here for one in others
    )


def expected(
    running: Collection[Running],
    serving: Collection[Serving],
    waits: Iterable[tuple[str, float]],
    seconds: float | None,
) -> dict[str, float]:
    """Of each worker whose training will give way to pictures that wait now: the seconds until then.

    ``waits``: the step for which each picture waits, and since how many seconds. ``seconds``: what a whole
    training takes; None if that isn't known.
    """
    progress = {worker: done for worker, kind, done in running if kind == Job.Kind.TRAINING}
    found, waits = {}, list(waits)
    for one in serving:
        if one.name not in progress or not seconds:
            continue
        steps = steps_for(one.name, one.steps, serving, progress)
        waited = [since for step, since in waits if step in steps]
        if waited:
            patience = max(0.0, settings.TRAINING_YIELDS_AFTER - max(waited))
            until = _checkpoint_after(patience, progress[one.name], seconds)
            if until < seconds * (1 - progress[one.name]):
                found[one.name] = until
    return found


def _checkpoint_after(patience: float, progress: float, seconds: float) -> float:
    """Seconds until the first checkpoint that comes later than ``patience``."""
    training = get_profile().training
    between, gone = seconds * training.save_every / training.steps, seconds * progress
    return (math.floor((gone + patience) / between) + 1) * between - gone
