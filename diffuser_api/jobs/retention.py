"""What is deleted, wholly: on demand, and by age as the settings say.

Photos go when their training ends (``status_changes``); this makes sure of it. A LoRA takes along whatever
shows or describes its face: the pictures made with it, its training, and their working folders.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from diffuser_api.jobs import folders, processes, status_changes, write_ahead_log
from diffuser_api.models import IdempotencyKey, Job, LoraModel, TrainingPhoto

log = logging.getLogger(__name__)
KEYS_KEPT = timedelta(hours=24)  # the time in which a request may be sent again with its idempotency key
SECONDS_TO_LET_GO = 15.0  # for a worker to end the processes of a job that was taken from it
SECONDS_BETWEEN_LOOKS = 0.05


def delete(code: str) -> bool:
    """A picture; or a training, its LoRA and all pictures made with it. False: there is no such code.

    When this returns, nothing of them is there and nothing can be made of them any more. Not inside a
    transaction: workers must see that their jobs are taken from them.
    """
    return bool(_delete({code}))


def delete_all(jobs: QuerySet[Job], loras: QuerySet[LoraModel]) -> None:
    """These, and the pictures made with the LoRAs; as ``delete``."""
    _delete({*jobs.values_list("code", flat=True), *loras.values_list("code", flat=True)})


def _delete(codes: set[str]) -> int:
    """Jobs and LoRAs of these codes, and the pictures made with the LoRAs, with every byte."""
    for code in codes:
        status_changes.cancel(code)  # a training that was cancelled delivers no LoRA
    # From this UPDATE on, no job is made with these LoRAs, and none that has one goes on or finishes.
    LoraModel.with_erased.filter(code__in=codes).update(is_erased=True)
    codes = codes.union(Job.objects.filter(lora__code__in=codes).values_list("code", flat=True))
    jobs = Job.objects.filter(code__in=codes)
    for code in jobs.filter(status__in=status_changes.UNFINISHED).values_list("code", flat=True):
        status_changes.cancel(code)
    _wait_for_workers(jobs)
    for code in jobs.values_list("code", flat=True):
        folders.remove(code)  # those of a worker that has died, too
    with transaction.atomic():
        deleted = LoraModel.with_erased.filter(code__in=codes).delete()[0]
        deleted += jobs.delete()[0]  # django-cleanup removes the files of both after the commit
        transaction.on_commit(write_ahead_log.empty)
    if deleted:
        log.info("deleted: %s", ", ".join(sorted(codes)))
    return deleted


def _wait_for_workers(jobs: QuerySet[Job]) -> None:
    """Until each run of these cancelled jobs has ended its processes and left the job."""
    ours = processes.name()  # a sweep of the worker itself, whose run ends by itself
    end = time.monotonic() + SECONDS_TO_LET_GO
    while any(not status_changes.is_dead(job) for job in jobs.exclude(worker__in=("", ours))):
        if time.monotonic() > end:
            log.warning("a worker is still at a job that is deleted: %s", ", ".join(job.code for job in jobs))
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def apply() -> dict[str, list[str]]:
    """Deletes what the settings keep no longer; the codes, by what they were."""
    old = {
        "photos": _photos(),
        "pictures": _pictures(settings.KEEP_OUTPUTS_DAYS),
        "LoRAs": [*_loras(settings.KEEP_LORAS_DAYS), *_half_erased()],
    }
    TrainingPhoto.objects.filter(job__code__in=old["photos"]).delete()
    _delete({*old["pictures"], *old["LoRAs"]})
    for what, codes in old.items():
        if codes:
            log.info("%s deleted, as they are kept no longer: %s", what, ", ".join(codes))
    return old


def lora_kept_until(lora: LoraModel) -> datetime | None:
    """When a LoRA, and all pictures made with it, are deleted by age; None if they aren't."""
    days = settings.KEEP_LORAS_DAYS
    return lora.created_at + timedelta(days=days) if days else None


def picture_kept_until(job: Job) -> datetime | None:
    """By its own age or its LoRA's, whichever comes first."""
    days = settings.KEEP_OUTPUTS_DAYS
    own = job.finished_at + timedelta(days=days) if days and job.finished_at else None
    ends = [own, lora_kept_until(job.lora) if job.lora else None]
    return min(filter(None, ends), default=None)


def _photos() -> list[str]:
    ended = Job.objects.exclude(status__in=status_changes.UNFINISHED).filter(photos__isnull=False)
    return list(ended.values_list("code", flat=True).distinct())


def _pictures(days: int) -> list[str]:
    """Generations that ended so long ago, with a picture or without."""
    if not days:
        return []
    ended = Job.objects.filter(
        kind=Job.Kind.GENERATION, finished_at__lt=timezone.now() - timedelta(days=days)
    )
    return list(ended.values_list("code", flat=True))


def _loras(days: int) -> list[str]:
    """Trainings that ended so long ago, unless a picture with their LoRA is still to be made."""
    if not days:
        return []
    before = timezone.now() - timedelta(days=days)
    used = Job.objects.filter(status__in=status_changes.UNFINISHED, lora__isnull=False).values("lora__code")
    loras = LoraModel.objects.filter(created_at__lt=before).exclude(code__in=used)
    failed = Job.objects.filter(kind=Job.Kind.TRAINING, finished_at__lt=before, trained_lora__isnull=True)
    return [*loras.values_list("code", flat=True), *failed.values_list("code", flat=True)]


def _half_erased() -> list[str]:
    """LoRAs whose erasure began in a process that has died."""
    return list(LoraModel.with_erased.filter(is_erased=True).values_list("code", flat=True))


def forget_keys() -> int:
    """Deletes old idempotency keys; returns their number."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEYS_KEPT).delete()[0]
