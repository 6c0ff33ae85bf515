"""``Prefer: wait=N`` (RFC 7240): the answer comes when the job has ended, but after N seconds at the latest.

A waiting request occupies a thread of the web server. So only ``WAITING_REQUESTS`` may wait at a time, and
further requests are answered at once.
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
    """Wait for the job's end, as long as the request asks for and may wait. Returns the job as it is then."""
    seconds = _WAIT.search(request.headers.get("Prefer", ""))
    if seconds is None or not _room.acquire(blocking=False):
        return job
    try:
        end = time.monotonic() + min(int(seconds[1]), LONGEST_SECONDS)
        while not job.is_finished and time.monotonic() < end:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            job = Job.objects.filter(pk=job.pk).first() or job  # the old values if the job was deleted
        return job
    finally:
        _room.release()
