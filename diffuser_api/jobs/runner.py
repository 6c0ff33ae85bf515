"""The run of a job, from the claim until the worker leaves the job.

The run ends the job (succeeded, failed or cancelled) or queues it again. After an end, the job's working
folders are removed. A job that is queued again keeps them, and continues from them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from diffuser_api import storage
from diffuser_api.jobs import run_generation, run_training, status_changes
from diffuser_api.jobs.lease import Lease, Lost, Stopped, TimedOut, database_errors_tolerated, insist
from diffuser_api.models import Job
from diffuser_api.operations import database, disk
from diffuser_api.operations.workers import ALL_STEPS

log = logging.getLogger(__name__)
REASON = "Something went wrong on our side; the log of the worker tells what."


def run_next(steps: Collection[str], is_stopping: Callable[[], bool]) -> bool:
    """Run the job whose turn it is. False when none is queued for these steps."""
    job = status_changes.claim_next(steps)
    if job:
        run(job, is_stopping, steps)
    return job is not None


def run(
    job: Job, is_stopping: Callable[[], bool] = lambda: False, steps: Collection[str] = ALL_STEPS
) -> None:
    """Run the job. If ``is_stopping`` says that the worker was asked to end, the job is queued again. It is
    also queued before a step that is none of ``steps``, for a worker that serves it."""
    lease = Lease(job, is_stopping)
    try:
        with lease.heartbeat():
            if job.kind == Job.Kind.TRAINING:
                run_training.run(job, lease, steps)
            else:
                run_generation.run(job, lease, steps)
    except Stopped:
        insist(lambda: status_changes.requeue(job, attempt=job.attempt))
    except Lost:
        log.info("job %s: broken off", job.code)
    except TimedOut as error:
        text = f"{error}, and was ended."
        insist(lambda: status_changes.fail(job, "timed_out", text))
    except Exception as error:
        if _was_taken(job):  # for example, the photos were deleted while they were read
            log.info("job %s: broken off", job.code)
        else:
            log.exception("job %s: unexpected error", job.code)
            insist(_ending(job, error))
    finally:
        with database_errors_tolerated():  # a sweep removes the folders later
            status_changes.clear_up(job)
        insist(lambda: status_changes.let_go(job))


def _was_taken(job: Job) -> bool:
    """Whether the job was cancelled, deleted or given away. False if the database can't be asked."""
    with database_errors_tolerated():
        return status_changes.is_lost(job)
    return False


def _ending(job: Job, error: Exception) -> Callable[[], bool]:
    """The change of status after an unexpected error. If the database or the storage was away for too long,
    the job gets another attempt, because the error isn't the job's fault."""
    if disk.is_full(error):
        return lambda: status_changes.fail(job, "disk_full", REASON)
    if storage.is_away(error):
        return lambda: status_changes.retry(job, "internal_error", f"The storage could not be used: {error}.")
    if database.is_away(error):
        return lambda: status_changes.retry(job, "internal_error", "The database could not be used.")
    return lambda: status_changes.fail(job, "internal_error", REASON)
