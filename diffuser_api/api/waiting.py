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


def wait(request, jobs: list[Job]) -> list[Job]:
    """Wait for the end of all jobs, as long as the request asks for and may wait. Returns the jobs as they
    are then."""
    seconds = _WAIT.search(request.headers.get("Prefer", ""))
    if seconds is None or not _room.acquire(blocking=False):
        return jobs
    try:
        end = time.monotonic() + min(int(seconds[1]), LONGEST_SECONDS)
        while not all(job.is_finished for job in jobs) and time.monotonic() < end:
            time.sleep(SECONDS_BETWEEN_LOOKS)
            now = Job.objects.in_bulk([job.pk for job in jobs])
            jobs = [now.get(job.pk, job) for job in jobs]  # the old values of a job that was deleted
        return jobs
    finally:
        _room.release()
