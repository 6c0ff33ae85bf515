"""The run of a claimed job. However it goes, the row says how it ended, and no folder is left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable

from diffuser_api.jobs import life, run_generation, run_training
from diffuser_api.jobs.lease import Lease, Lost, Stopped, TimedOut
from diffuser_api.models import Job
from diffuser_api.operations import disk

log = logging.getLogger(__name__)
RUNS = {Job.Kind.GENERATION: run_generation, Job.Kind.TRAINING: run_training}


def run(job: Job, is_stopping: Callable[[], bool] = lambda: False) -> None:
    """``is_stopping``: whether the worker was asked to end; the job is queued again then."""
    lease = Lease(job, is_stopping)
    try:
        with lease.heartbeat():
            RUNS[job.kind].run(job, lease)
    except Stopped:
        life.requeue(job, attempt=job.attempt)
    except Lost:
        log.info("job %s: broken off", job.code)
    except TimedOut as error:
        life.fail(job, "timed_out", f"{error}, and was ended.")
    except Exception as error:
        log.exception("job %s: unexpected error", job.code)
        reason = "Something went wrong on our side; the log of the worker tells what."
        life.fail(job, "disk_full" if disk.is_full(error) else "internal_error", reason)
    finally:
        life.clear_up(job)
        life.let_go(job)
