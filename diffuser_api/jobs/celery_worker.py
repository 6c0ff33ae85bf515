"""The worker of ``celery -A djangoproject worker``: each process of Celery's pool runs the jobs.

Celery's message makes a process look at the rows at once. A thread of the process looks every few seconds
too: so a message may be lost, and the broker may be away.
"""

from __future__ import annotations

import logging
import mmap
import os
import threading
import time
from collections.abc import Collection

from celery import signals
from django.conf import settings
from django.db import Error, close_old_connections, connection

from diffuser_api.jobs import runner, worker
from diffuser_api.jobs.celery_app import WORK, app
from diffuser_api.operations import ending
from generation.processes import lifeline

SECONDS_BETWEEN_LOOKS = 3.0
log = logging.getLogger(__name__)
_stopping = mmap.mmap(-1, 1)  # 1 when the worker was asked to end; the pool's processes share this byte
_parent: int | None = None  # the process that has the pool
_process: PoolProcess | None = None


def is_stopping() -> bool:
    return bool(_stopping[0])


class PoolProcess:
    """A process that runs one job at a time, whichever of its threads has seen it first."""

    def __init__(self, steps: Collection[str]) -> None:
        self.steps = steps
        self.turn = threading.Lock()

    def live(self) -> None:
        """For a thread that lives as long as the process: what it starts ends with it."""
        with self.turn:
            worker.begin(self.steps)
        while not is_stopping():
            if not self.work(blocking=False):
                time.sleep(SECONDS_BETWEEN_LOOKS)

    def work(self, blocking: bool = True) -> bool:
        """Run the job whose turn it is. False if none is queued, or if another thread is at work and
        ``blocking`` is False."""
        if not self.turn.acquire(blocking):
            return False
        try:
            close_old_connections()
            return not is_stopping() and runner.run_next(self.steps, is_stopping)
        except Error as error:
            log.warning("the database can't be used, the next try follows: %s", error)
            connection.close()
            return False
        finally:
            self.turn.release()

    def leave(self) -> None:
        """Wait until the job that a thread runs is queued again."""
        self.turn.acquire(timeout=worker.SECONDS_TO_LEAVE)
        worker.leave()


@app.task(name=WORK)
def work() -> None:
    _process.work()


@signals.worker_init.connect
def prepare(sender, **_) -> None:
    """-Q says which queues are consumed. Without it, they are those of WORKER_STEPS."""
    global _parent
    _parent = os.getpid()
    queues = sender.app.amqp.queues
    if len(queues.consume_from) == len(queues):
        queues.select(settings.WORKER_STEPS)


@signals.worker_process_init.connect
def begin(**_) -> None:
    """Celery kills a process that takes longer than 4 seconds here."""
    global _process
    lifeline.die_with_parent(_parent)
    _process = PoolProcess(list(app.amqp.queues.consume_from))
    threading.Thread(target=_process.live, daemon=True).start()


@signals.worker_shutting_down.connect
def stop(**_) -> None:
    """The running job goes back to the queue as far as it has come."""
    _stopping[0] = 1
    ending.end_within(worker.SECONDS_TO_LEAVE)


@signals.worker_process_shutdown.connect
def leave(**_) -> None:
    _process.leave()
