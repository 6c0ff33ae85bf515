"""A picture that its visitor shares: whoever has its address sees it, until the time that the visitor chose.

The address holds the job's code and a signature, since eight digits alone could be guessed. The end of the
sharing is in the job's row. So it can be changed, and deleting the picture or the face ends the sharing.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from datetime import timedelta

import segno
from django.conf import settings
from django.core import signing
from django.core.files.base import ContentFile
from django.urls import reverse
from django.utils import timezone

from diffuser_api import storage
from diffuser_api.models import Job
from diffuser_api.photos.pictures import derived, open_stored

CHOICES = (1, 7, 30)  # days, and SHARE_DAYS
SMALL_SIDE = 1200  # pixels, as messengers want them
log = logging.getLogger(__name__)
_making = threading.Lock()


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


def small(job: Job) -> bytes:
    """The picture as messengers show it, a JPEG. It is made when it is first asked for, since a large picture
    takes most of a second, and is deleted with the picture. Raises OSError if that is gone or broken."""
    try:
        if not job.shared_small:
            with _making:  # one at a time
                job.refresh_from_db(fields=["shared_small"])  # made meanwhile?
                if not job.shared_small:
                    return _made_small(job)
    except Job.DoesNotExist as error:
        raise FileNotFoundError(f"{job.code} was deleted") from error
    with job.shared_small.open("rb") as file:
        return file.read()


class _TooLate(Exception):
    """Another process was faster, or the picture was deleted."""


def _made_small(job: Job) -> bytes:
    picture = open_stored(job.output)
    picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
    content = derived(picture, job.output, ["c2pa.resized"])
    try:
        with contextlib.suppress(_TooLate), storage.new_files() as files:
            job.shared_small.save(f"{job.code}.jpg", ContentFile(content), save=False)
            files.append(job.shared_small)
            if not Job.objects.filter(pk=job.pk, shared_small="").update(shared_small=job.shared_small.name):
                raise _TooLate
    except OSError as error:  # no room, as a rule
        log.warning("%s: its small copy was not stored: %s", job.code, error)
    job.refresh_from_db(fields=["shared_small"])  # a deleted picture isn't shown
    return content
