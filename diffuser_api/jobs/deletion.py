"""Deletes jobs, pictures and LoRAs: on request, and by age, as the settings say.

With a LoRA, everything that shows or describes the face is deleted: the pictures made with it, its training,
and their working folders. A training's photos are deleted when it ends (``status_changes``). If they were
left over, ``apply`` deletes them.
"""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from diffuser_api import audit
from diffuser_api.jobs import processes, status_changes, working_files, write_ahead_log
from diffuser_api.models import Client, IdempotencyKey, Job, LeftVisitor, LoraModel, TrainingPhoto

log = logging.getLogger(__name__)
KEYS_KEPT = timedelta(hours=24)  # the time in which a request may be sent again with its idempotency key
SECONDS_TO_LET_GO = 15.0  # so long a worker may take to leave a cancelled job
SECONDS_BETWEEN_LOOKS = 0.05


def delete(code: str, by: str) -> bool:
    """Delete a picture; or a training, its LoRA and all pictures made with it. False: there is no such code.
    ``by``: for the audit log.

    When this returns, all of it is deleted, and no running job can write any of it again. Don't call this
    inside a transaction: workers must see at once that their jobs are cancelled.
    """
    return bool(_delete({code}, by))


def take_down(code: str, by: str) -> bool:
    """Delete a picture that must not be seen any longer, as ``delete`` does. False: no picture has this
    code."""
    if not Job.objects.filter(code=code, kind=Job.Kind.GENERATION).exists():
        return False
    return bool(_delete({code}, by, audit.Event.TAKEN_DOWN))


def delete_all(jobs: QuerySet[Job], loras: QuerySet[LoraModel], by: str) -> None:
    """Delete these jobs and LoRAs, and the pictures made with the LoRAs, as ``delete`` does."""
    _delete({*jobs.values_list("code", flat=True), *loras.values_list("code", flat=True)}, by)


def delete_visitor(client: Client, visitor: str, loras: QuerySet[LoraModel], by: str) -> None:
    """Delete all jobs of a visitor and these LoRAs, as ``delete_all`` does. From now on no job is made for
    this visitor, also not by a request whose photos are being looked at."""
    with transaction.atomic():
        Client.objects.select_for_update(no_key=True).get(pk=client.pk)  # no job is just being saved
        LeftVisitor.objects.get_or_create(client=client, visitor=visitor)
    delete_all(Job.objects.filter(client=client, visitor=visitor), loras, by)


def _delete(codes: set[str], by: str, event: str = audit.Event.ERASED) -> int:
    """Delete the jobs and LoRAs of these codes, and the pictures made with the LoRAs: rows and files."""
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
        working_files.remove(code)  # a worker that has died left them
    with transaction.atomic():
        audit.erased(_kinds(codes), by, event)
        jobs.update(shared_until=None)  # locks the rows: no small copy is stored after they are read
        deleted = LoraModel.with_erased.filter(code__in=codes).delete()[0]
        deleted += jobs.delete()[0]  # django-cleanup removes the files of both after the commit
        transaction.on_commit(write_ahead_log.empty)
    if deleted:
        log.info("deleted: %s", ", ".join(sorted(codes)))
    return deleted


def _kinds(codes: set[str]) -> dict[str, str]:
    """A LoRA has the code and the kind of the training that made it."""
    loras = LoraModel.with_erased.filter(code__in=codes).values_list("code", flat=True)
    return dict.fromkeys(loras, Job.Kind.TRAINING) | dict(
        Job.objects.filter(code__in=codes).values_list("code", "kind")
    )


def _wait_for_workers(jobs: QuerySet[Job]) -> None:
    """Wait until the workers of these cancelled jobs have ended their processes and left the jobs."""
    ours = processes.name()  # this may be a worker's sweep, and that worker's own run ends by itself
    end = time.monotonic() + SECONDS_TO_LET_GO
    while any(not status_changes.is_dead(job) for job in jobs.exclude(worker__in=("", ours))):
        if time.monotonic() > end:
            log.warning("a worker is still at a job that is deleted: %s", ", ".join(job.code for job in jobs))
            return
        time.sleep(SECONDS_BETWEEN_LOOKS)


def delete_expired() -> dict[str, list[str]]:
    """Delete what is older than the settings allow. Returns the codes, grouped by kind."""
    old = {
        "photos": _photos(),
        "pictures": [*_pictures(settings.KEEP_OUTPUTS_DAYS), *_not_chosen()],
        "LoRAs": [*_loras(settings.KEEP_LORAS_DAYS), *_half_erased()],
    }
    TrainingPhoto.objects.filter(job__code__in=old["photos"]).delete()
    _delete({*old["pictures"], *old["LoRAs"]}, audit.AGE)
    for what, codes in old.items():
        if codes:
            log.info("%s deleted, as they are kept no longer: %s", what, ", ".join(codes))
    return old


def lora_kept_until(lora: LoraModel) -> datetime | None:
    """When a LoRA, and all pictures made with it, are deleted by age; None if that is turned off."""
    days = settings.KEEP_LORAS_DAYS
    return lora.created_at + timedelta(days=days) if days else None


def picture_kept_until(job: Job) -> datetime | None:
    """When a picture is deleted by its own age or by its LoRA's, whichever comes first."""
    days = settings.KEEP_OUTPUTS_DAYS
    own = job.finished_at + timedelta(days=days) if days and job.finished_at else None
    ends = [own, lora_kept_until(job.lora) if job.lora else None]
    return min(filter(None, ends), default=None)


def _photos() -> list[str]:
    ended = Job.objects.exclude(status__in=status_changes.UNFINISHED).filter(photos__isnull=False)
    return list(ended.values_list("code", flat=True).distinct())


def _pictures(days: int) -> list[str]:
    """The codes of generations that ended more than ``days`` days ago, with a picture or without."""
    if not days:
        return []
    ended = Job.objects.filter(
        kind=Job.Kind.GENERATION, finished_at__lt=timezone.now() - timedelta(days=days)
    )
    return list(ended.values_list("code", flat=True))


def _not_chosen() -> list[str]:
    """The codes of candidates whose deletion began in a process that has died."""
    return list(Job.objects.filter(group=Job.NOT_CHOSEN).values_list("code", flat=True))


def _loras(days: int) -> list[str]:
    """The codes of LoRAs that are more than ``days`` days old, and of failed trainings that ended so long
    ago. A LoRA is left out if an unfinished job uses it that was asked for before the LoRA was so old. Later
    jobs don't count, or a face could be kept for ever by asking for it again and again."""
    if not days:
        return []
    before = timezone.now() - timedelta(days=days)
    in_time = Q(created_at__lt=F("lora__created_at") + timedelta(days=days))
    used = Job.objects.filter(in_time, status__in=status_changes.UNFINISHED).values("lora__code")
    loras = LoraModel.objects.filter(created_at__lt=before).exclude(code__in=used)
    failed = Job.objects.filter(kind=Job.Kind.TRAINING, finished_at__lt=before, trained_lora__isnull=True)
    return [*loras.values_list("code", flat=True), *failed.values_list("code", flat=True)]


def _half_erased() -> list[str]:
    """The codes of LoRAs whose deletion began in a process that has died."""
    return list(LoraModel.with_erased.filter(is_erased=True).values_list("code", flat=True))


def forget_keys() -> int:
    """Deletes old idempotency keys, and visitors who left long ago; returns the number of the keys."""
    LeftVisitor.objects.filter(created_at__lt=timezone.now() - KEYS_KEPT).delete()
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEYS_KEPT).delete()[0]
