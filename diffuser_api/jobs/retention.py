"""What is deleted, wholly: on demand, and by age as the settings say.

Photos go when their training ends (``life``); this makes sure of it. Files go with their rows after the
commit (django-cleanup), working folders with the run that is broken off.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from diffuser_api.jobs import life
from diffuser_api.models import IdempotencyKey, Job, LoraModel, TrainingPhoto

log = logging.getLogger(__name__)
KEYS_KEPT = timedelta(hours=24)  # the time in which a request may be sent again with its idempotency key


def delete(code: str) -> bool:
    """A picture; or a training, its LoRA and all pictures made with it. False: there is no such code."""
    pictures = Job.objects.filter(lora__code=code).values_list("code", flat=True)
    return bool(_delete({code, *pictures}))


def _delete(codes: set[str]) -> int:
    """Jobs and LoRAs of these codes, with every byte. What still runs is broken off."""
    for code in codes:
        life.cancel(code)
    with transaction.atomic():
        deleted = LoraModel.objects.filter(code__in=codes).delete()[0]
        deleted += Job.objects.filter(code__in=codes).delete()[0]
        transaction.on_commit(_empty_the_log_of_sqlite)
    if deleted:
        log.info("deleted: %s", ", ".join(sorted(codes)))
    return deleted


def _empty_the_log_of_sqlite() -> None:
    """SQLite overwrites what it deletes (secure_delete), but its write-ahead log has an older copy. Given up
    when somebody else is at it: the log is emptied at the next occasion."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            patience = cursor.execute("PRAGMA busy_timeout").fetchone()[0]
            cursor.execute("PRAGMA busy_timeout = 500")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.fetchall()
            cursor.execute(f"PRAGMA busy_timeout = {patience}")


def apply() -> dict[str, list[str]]:
    """Deletes what the settings keep no longer; the codes, by what they were."""
    old = {
        "photos": _photos(),
        "pictures": _pictures(settings.KEEP_OUTPUTS_DAYS),
        "LoRAs": _loras(settings.KEEP_LORAS_DAYS),
    }
    TrainingPhoto.objects.filter(job__code__in=old["photos"]).delete()
    _delete({*old["pictures"], *old["LoRAs"]})
    for what, codes in old.items():
        if codes:
            log.info("%s deleted, as they are kept no longer: %s", what, ", ".join(codes))
    return old


def _photos() -> list[str]:
    ended = Job.objects.exclude(status__in=life.UNFINISHED).filter(photos__isnull=False)
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
    used = Job.objects.filter(status__in=life.UNFINISHED, lora__isnull=False).values("lora__code")
    loras = LoraModel.objects.filter(created_at__lt=before).exclude(code__in=used)
    failed = Job.objects.filter(kind=Job.Kind.TRAINING, finished_at__lt=before, trained_lora__isnull=True)
    return [*loras.values_list("code", flat=True), *failed.values_list("code", flat=True)]


def forget_keys() -> int:
    """Deletes old idempotency keys; returns their number."""
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEYS_KEPT).delete()[0]
