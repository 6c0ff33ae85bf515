"""``Prefer: wait=N`` (RFC 7240): the answer comes when the job is done, if that is within N seconds.

A waiting request holds a thread of the web server, so only ``WAITING_REQUESTS`` of them wait at a time.
Further ones are answered at once, and the other threads stay free.
"""

from __future__ import annotations

import re
import threading
import time

from django.conf import settings

from diffuser_api.models import Job

LONGEST_SECONDS = 60
SECONDS_BETWEEN_LOOKS = 0.25
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)
_room = threading.BoundedSemaphore(settings.WAITING_REQUESTS)


def wait(request, job: Job) -> Job:
    """The job as it is when it has finished, or when the request has waited as long as it may."""
    seconds = _WAIT.search(request.headers.get("Prefer", ""))
    if seconds is None or not _room.acquire(blocking=False):
        return job
    try:
        end = time.monotonic() + min(int(seconds[1]), LONGEST_SECONDS)
        while not job.is_finished and time.monotonic() < end:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            job = Job.objects.filter(pk=job.pk).first() or job  # deleted meanwhile: as it was last
        return job
    finally:
        _room.release()
