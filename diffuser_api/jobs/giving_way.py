"""A training gives way to pictures that have waited for too long and that no other worker takes.

It does so at a checkpoint, and goes on from there after the pictures that waited at that moment. Pictures
that come later wait at least until its next checkpoint. So the training loses no work, and it ends however
many pictures come.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from django.conf import settings
from django.db.models import Max
from django.db.models.functions import Now

from diffuser_api.jobs import folders, pauses, processes, queue
from diffuser_api.models import Job
from diffuser_api.operations import workers
from generation.step_table import TRAIN


class GivesWay(Exception):
    """``to``: the newest picture (pk) that goes before the training."""

    def __init__(self, to: int) -> None:
        self.to = to


class Checkpoints:
    """Those of one run of a training, by a worker that serves ``steps``."""

    def __init__(self, job: Job, steps: Collection[str]) -> None:
        self.job, self.steps = job, set(steps) - {TRAIN}
        self._asked_at = self._newest()  # a run goes on at least to its next checkpoint

    def look(self, done: int) -> None:
        """``done``: the trainer's steps. Raises GivesWay if the training is to give way now.

        It gives way one step after a checkpoint: then the sample pictures of the checkpoint are painted.
        """
        newest = self._newest()
        if not self._asked_at < newest < done:
            return
        self._asked_at = newest
        if to := _newest_picture_of_those_that_wait(self.steps):
            raise GivesWay(to)

    def _newest(self) -> int:
        """The number of steps that the newest whole checkpoint has behind it."""
        found = folders.training_output(self.job.code).glob(f"{self.job.code}-step*-state/state.pt")
        return max((int(path.parent.name.split("-")[1].removeprefix("step")) for path in found), default=0)


def _newest_picture_of_those_that_wait(steps: set[str]) -> int:
    """0 if none has waited for too long. Only pictures that no other worker takes count."""
    trainings = Job.objects.filter(kind=Job.Kind.TRAINING, status=Job.Status.RUNNING)
    training = set(trainings.values_list("worker", flat=True))
    own = pauses.steps_for(processes.name(), steps, workers.serving(), training)
    if not own:
        return 0
    waiting = Job.objects.filter(queue.CLAIMABLE & queue.waits_for(own), kind=Job.Kind.GENERATION).order_by()
    too_long = timedelta(seconds=settings.TRAINING_YIELDS_AFTER)
    if not waiting.filter(created_at__lt=Now() - too_long).exists():
        return 0
    return waiting.aggregate(newest=Max("pk"))["newest"] or 0
