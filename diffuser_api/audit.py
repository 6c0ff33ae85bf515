"""The audit log: who made, was refused, reported, erased or took down, and when. Kept for KEEP_AUDIT_DAYS.

An entry says the kind of the thing and its code, never what is in it: no words, no picture, no number of a
face, no visitor and no address. So it may stay when a face is erased.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from diffuser_api import wording
from diffuser_api.access import throttles
from diffuser_api.models import AuditEntry, Client, Job

log = logging.getLogger(__name__)
Event = AuditEntry.Event
ANYBODY, OPERATOR, AGE, SAFETY = "anybody", "operator", "age", "safety check"
NOT_CHOSEN = "another candidate was kept"
REFUSED_RATE = (200, 3600)  # entries about one client's refusals: nobody fills the disk with them
_REASON_LENGTH = AuditEntry._meta.get_field("reason").max_length


def client(one: Client | None) -> str:
    """How the log calls a client, for whose visitors it speaks."""
    return f"client {one.name}" if one else "open API"


def staff(user) -> str:
    return f"staff {user.get_username()}"[: AuditEntry._meta.get_field("by").max_length]


def write(event: str, job: Job, by: str, reason: str = "") -> None:
    """About a job. In the caller's transaction, if there is one: no entry without what it tells of."""
    AuditEntry.objects.create(event=event, what=job.kind, code=job.code, by=by, reason=reason)


def erased(kinds: dict[str, str], by: str, event: str = Event.ERASED) -> None:
    """``kinds``: the code of each job or LoRA that is deleted, and its kind."""
    entries = [AuditEntry(event=event, what=kind, code=code, by=by) for code, kind in sorted(kinds.items())]
    AuditEntry.objects.bulk_create(entries)


def refused(kind: str, by: str, reason: str) -> None:
    """An order that was not taken. ``reason``: words of the software's own, such as the code of an error."""
    if throttles.take(f"refusals of {by}", REFUSED_RATE):
        log.warning("%s has more refusals than the audit log takes: %s", by, reason)
        return
    try:
        AuditEntry.objects.create(event=Event.REFUSED, what=kind, by=by, reason=reason[:_REASON_LENGTH])
    except DatabaseError as error:  # the sender still gets the answer
        log.warning("a refusal is not in the audit log (%s): %s, %s", error, by, reason)


def photos_refused(one: Client | None, reasons: list[dict]) -> None:
    """``reasons``: of ``gate.PhotosRefused``."""
    codes = sorted({reason["code"] for reason in reasons})
    refused(Job.Kind.TRAINING, client(one), ", ".join(codes))


def words_refused(one: Client | None, codes: Collection[str]) -> None:
    """``codes``: the codes of errors, of which those of ``wording`` count."""
    if codes := sorted(wording.CODES.intersection(codes)):
        refused(Job.Kind.GENERATION, client(one), ", ".join(codes))


def forget_old() -> int:
    """Deletes entries that are older than KEEP_AUDIT_DAYS; returns their number."""
    before = timezone.now() - timedelta(days=settings.KEEP_AUDIT_DAYS)
    return AuditEntry.objects.filter(at__lt=before).delete()[0]
