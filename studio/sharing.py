"""A picture that its visitor shares: whoever has its address sees it, until the time that the visitor chose.

The address holds the job's code and a signature, since eight digits alone could be guessed. The end of the
sharing is in the job's row. So it can be changed, and deleting the picture or the face ends the sharing.
"""

from __future__ import annotations

from datetime import timedelta

import segno
from django.conf import settings
from django.core import signing
from django.urls import reverse
from django.utils import timezone

from diffuser_api.models import Job

CHOICES = (1, 7, 30)  # days, and SHARE_DAYS


def _signer() -> signing.Signer:
    return signing.Signer(salt="studio.sharing", sep=".", algorithm="sha256")


def url_of(job: Job, request) -> str:
    return request.build_absolute_uri(reverse("studio:shared", args=[_signer().sign(job.code)]))


def find(token: str) -> Job | None:
    """The shared picture; None if the signature is wrong or the time is over."""
    try:
        code = _signer().unsign(token)
    except signing.BadSignature:
        return None
    shared = Job.objects.filter(shared_until__gt=timezone.now(), status=Job.Status.SUCCEEDED)
    return shared.select_related("poi_image__poi").filter(code=code, kind=Job.Kind.GENERATION).first()


def days_offered() -> list[int]:
    return sorted({days for days in CHOICES if days < settings.SHARE_DAYS} | {settings.SHARE_DAYS})


def share(job: Job, days: int) -> None:
    """Share the picture for ``days`` from now on. 0 ends the sharing."""
    until = timezone.now() + timedelta(days=min(days, settings.SHARE_DAYS)) if days > 0 else None
    Job.objects.filter(pk=job.pk).update(shared_until=until)


def share_at_least(job: Job) -> None:
    """Share the picture for the longest time, unless it is shared already: its link goes onto a printed card,
    which can't be changed later."""
    if not _is_shared(job):
        share(job, settings.SHARE_DAYS)


def _is_shared(job: Job) -> bool:
    return job.shared_until is not None and job.shared_until > timezone.now()


def told(job: Job, request) -> dict:
    """For the picture's page: the days to choose from, and of a shared picture its link and end."""
    if not _is_shared(job):
        return {"days": days_offered()}
    url = url_of(job, request)
    code = segno.make(url, error="m", micro=False).svg_data_uri(scale=4, border=4, light="white")
    return {"days": days_offered(), "url": url, "until": job.shared_until, "qr": code}
