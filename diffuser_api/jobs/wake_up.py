"""Wakes waiting workers when a job is queued, so that they look at the rows earlier.

The rows are the queue, and a wake-up names no job. So a wake-up that is lost, repeated or late does no harm.
Without CELERY_BROKER_URL nothing is sent, because a worker looks twice a second anyway. With it, a thread
sends the messages: no request waits for a broker.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import queue
import threading
import time

from django.conf import settings

MOST_TO_SEND = 1000  # while the broker is away
log = logging.getLogger(__name__)
_steps: queue.Queue[str] = queue.Queue(MOST_TO_SEND)


def notify(step: str) -> None:
    """A job that waits for this step has been queued. Call it after the commit: workers see the row then."""
    if settings.CELERY_BROKER_URL:
        with contextlib.suppress(queue.Full):
            _steps.put_nowait(step)
        _begin_sending()


@functools.cache
def _begin_sending() -> None:
    threading.Thread(target=_send_for_ever, daemon=True).start()


def _send_for_ever() -> None:
    from diffuser_api.jobs import celery_app

    while True:
        step = _steps.get()
        try:
            celery_app.send(step)
        except Exception as error:  # whatever it is: the next message must be tried too
            log.warning("a worker will see a job late, since the broker can't be used: %s", error)


def wait(seconds: float) -> None:
    """Return at the next wake-up, and after ``seconds`` at the latest."""
    time.sleep(seconds)
