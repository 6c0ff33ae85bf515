"""What every worker process does beside running jobs, whichever way it hears of them."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Collection

from django.db import connection

from diffuser_api.jobs import processes, sweep
from diffuser_api.jobs.lease import database_errors_tolerated
from diffuser_api.operations import database, delivery, workers
from generation.processes import isolation
from generation.step_table import TRAIN

SECONDS_TO_LEAVE = 15.0  # after which the worker ends whatever it is at; the next sweep puts the rest right
log = logging.getLogger(__name__)


def begin(steps: Collection[str]) -> None:
    """Prepare this process for the steps. Call it from a thread that lives as long as the process."""
    os.environ.update(processes.mark())  # for all that is started here
    database.wait_briefly()
    isolation.prepare(steps)  # models are loaded before the first job is there
    tend(steps)
    threading.Thread(target=_tend_for_ever, args=(steps,), daemon=True).start()
    if TRAIN in steps:
        threading.Thread(target=delivery.report, daemon=True).start()
    log.info("worker %s takes jobs for %s", processes.name(), ", ".join(steps))


def tend(steps: Collection[str]) -> None:
    """Say that this worker is there, and repair what others have left."""
    with database_errors_tolerated():
        workers.register(processes.name(), steps)
    sweep.attempt()


def _tend_for_ever(steps: Collection[str]) -> None:
    while True:
        time.sleep(sweep.SECONDS_BETWEEN_SWEEPS)
        tend(steps)


def leave() -> None:
    """Say that this worker takes no more jobs."""
    with database_errors_tolerated():
        workers.leave(processes.name())
    connection.close()
