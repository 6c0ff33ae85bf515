"""The life of a job. Every change of its status is in this module and nowhere else.

queued -> running -> succeeded | failed | cancelled, or queued again. A change is one UPDATE with a condition.
If it changes no row, somebody else was faster, and the caller does nothing. ``orders`` makes jobs, ``runner``
runs them, and ``sweep`` finds jobs whose worker has died.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import secrets
import time
from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

from django.core.files import File
from django.core.files.base import ContentFile
from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.db.models.functions import Greatest, Now
from django.utils import timezone

from diffuser_api import audit
from diffuser_api.access.tokens import token_hash
from diffuser_api.jobs import folders, processes, queue, wake_up, working_files, write_ahead_log
from diffuser_api.jobs.queue import UNFINISHED
from diffuser_api.models import Job, LoraModel, TrainingPhoto
from diffuser_api.operations import disk
from diffuser_api.operations.workers import ALL_STEPS
from diffuser_api.storage import new_files
from diffuser_api.webhooks import outbox
from generation.vision import looks, skin

log = logging.getLogger(__name__)
SECONDS_BETWEEN_WRITES = 0.5  # of progress
# Heartbeats come every 5 seconds. Of a worker on this machine, the process can be seen. So it may be silent
# for longer than a worker on another machine.
SILENT_ELSEWHERE, SILENT_HERE = timedelta(seconds=25), timedelta(seconds=120)
MAX_ATTEMPTS = 3
GAVE_UP = f" (in each of {MAX_ATTEMPTS} attempts)"


# --- running ------------------------------------------------------------------------------------------------


def claim(code: str) -> Job | None:
    """Take a queued job. None if it was deleted, has ended, or another worker has it."""
    return _claim(Job.objects.filter(code=code))


def claim_next(steps: Collection[str] = ALL_STEPS) -> Job | None:
    """Take the queued job whose turn it is, of those that wait for one of ``steps``. None if there is none.

    Workers that look at the same moment see the same order. The one that comes second takes the next job.
    """
    for waiting in queue.in_turn(steps):
        if job := _claim(Job.objects.filter(queue.waits_for(steps), pk=waiting.pk)):
            return job
    return None


def _claim(row: QuerySet[Job]) -> Job | None:
    """On PostgreSQL, a row that another worker is just taking is passed over, without waiting
    (``skip_locked``). SQLite has one writer at a time. On both, the UPDATE's condition decides."""
    with transaction.atomic():
        free = row.filter(queue.CLAIMABLE)
        code = free.select_for_update(skip_locked=True, no_key=True).values_list("code", flat=True).first()
        started = Case(When(next_step="", then=Now()), default=F("started_at"))  # the first worker's claim
        if not code or not free.update(
            status=Job.Status.RUNNING, worker=processes.name(), started_at=started, heartbeat_at=Now()
        ):
            return None
        outbox.announce(code)
    return Job.objects.filter(code=code).first()


def _run(job: Job) -> QuerySet[Job]:
    """The job's row, if this run may still work on it; otherwise no row. The run must stop when the job is
    cancelled, deleted or queued again, or when its LoRA is deleted. After the job has ended, the row names
    the run until the run has left the job (``let_go``)."""
    named = Job.objects.filter(pk=job.pk, worker=job.worker, attempt=job.attempt)
    return named.exclude(queue.LORA_IS_ERASED | Q(status=Job.Status.CANCELLED))


def _held(job: Job) -> QuerySet[Job]:
    return _run(job).filter(status=Job.Status.RUNNING)


def is_lost(job: Job) -> bool:
    """Whether this run has lost the job: it was cancelled, deleted, or queued again for another run."""
    return not _run(job).exists()


def is_held(job: Job) -> bool:
    """Whether this run may still end the job: it isn't lost, and no delivery of a LoRA has ended it."""
    return _held(job).exists()


def _is_held_until_the_end(job: Job) -> bool:
    """``is_held``. In a transaction, nobody else changes the row until its end."""
    rows = _held(job)
    if connection.in_atomic_block:
        rows = rows.select_for_update(no_key=True)
    return rows.values_list("pk", flat=True).first() is not None


def is_dead(job: Job) -> bool:
    """Whether the job's worker seems to be dead: its process is gone, or its heartbeat is missing. The
    database's clock judges, as it has written the heartbeat; the clocks of machines differ."""
    now = Job.objects.filter(pk=job.pk).values_list(Now(), flat=True).first() or timezone.now()
    silent = now - (job.heartbeat_at or job.created_at)
    if processes.is_here(job.worker):
        return not processes.is_alive(job.worker) or silent > SILENT_HERE
    return abs(silent) > SILENT_ELSEWHERE  # below 0 if the clock was set back after the heartbeat


def beat(job: Job) -> None:
    _held(job).update(heartbeat_at=Now(), tree_peak_mb=Greatest("tree_peak_mb", Value(processes.tree_mb())))


def progress(job: Job, *, step: str, done: int, of: int, index: int = 1) -> None:
    """Write how much of step ``index`` is done, and a heartbeat. At most two writes a second."""
    now = time.monotonic()
    if now - getattr(job, "progress_written_at", 0.0) < SECONDS_BETWEEN_WRITES:
        return
    job.progress_written_at = now
    share = (index - 1 + min(1.0, done / max(1, of))) / max(1, len(job.steps))
    _held(job).update(step=step, progress=min(1.0, share), heartbeat_at=Now())


def add_timing(job: Job, timing: dict) -> None:
    """Add a finished step's measurements to the job's row."""
    job.timings = [*job.timings, timing]
    _held(job).update(timings=job.timings, heartbeat_at=Now())


def add_log(job: Job, line: str) -> None:
    """Add a line to what the job's page in the admin shows."""
    job.log = f"{job.log}{line}\n"
    _held(job).update(log=job.log)


def name_working_files(job: Job, names: dict[str, str]) -> bool:
    """Write the names of the copies of the job's working files. False if this run has lost the job."""
    return bool(_held(job).update(working_files=names, heartbeat_at=Now()))


def requeue(job: Job, attempt: int, **fields) -> bool:
    """Queue a running job again, ahead of jobs that never ran. The next run continues from the job's
    folder. ``next_step`` among the fields: for a worker that serves this step."""
    with transaction.atomic():
        changed = _held(job).update(
            status=Job.Status.QUEUED, attempt=attempt, worker="", heartbeat_at=None, token_hash="", **fields
        )
        if changed:
            outbox.announce(job.code)
            step = fields.get("next_step", job.next_step) or job.steps[0]
            transaction.on_commit(functools.partial(wake_up.notify, step))
            log.info("job %s: queued again, attempt %d", job.code, attempt)
    return bool(changed)


def retry(job: Job, error_code: str, error_message: str, **fields) -> bool:
    """Give the job another attempt, because a process was killed. After the last attempt, the job fails."""
    if job.attempt < MAX_ATTEMPTS:
        return requeue(job, job.attempt + 1, **fields)
    return fail(job, error_code, error_message + GAVE_UP, gave_up=True)


# --- ending -------------------------------------------------------------------------------------------------


def _end(rows: QuerySet[Job], status: Job.Status, **fields) -> bool:
    """Change the rows to an end state, and delete a training's photos. False if somebody else was faster."""
    with transaction.atomic():
        code = rows.values_list("code", flat=True).first()
        last = {"finished_at": Now(), "token_hash": "", "working_files": {}}
        changed = rows.update(status=status, **last, **fields)
        if changed:
            if TrainingPhoto.objects.filter(job__code=code).delete()[0]:
                transaction.on_commit(write_ahead_log.empty)  # the photos' rows describe a face
            outbox.announce(code)
            said = ("job %s: %s %s", code, status, fields.get("error_code", ""))
            transaction.on_commit(functools.partial(log.info, *said))
    return bool(changed)


class _TooLate(Exception):
    """Somebody else was faster: what was stored for this end of the job is deleted."""


def finish_generation(job: Job, picture: Path, body: Path | None = None) -> bool:
    """Store the picture as the job's output, and the picture before its face as the job's body; then end the
    job as succeeded. If it was cancelled meanwhile, or its LoRA is deleted, no file is left."""
    with contextlib.suppress(_TooLate), new_files() as files:
        if not _is_held_until_the_end(job):
            return False
        row = Job.objects.get(pk=job.pk)
        kept = [(row.output, picture)] + ([(row.body, body)] if body and not row.body else [])
        for field_file, path in kept:
            with path.open("rb") as file:
                field_file.save(f"{job.code}.png", File(file), save=False)
            files.append(field_file)
        # The timings once more: a step's own write may have been dropped.
        last = {"progress": 1.0, "timings": job.timings, "parameters": job.parameters, "mark": job.mark}
        names = {"output": row.output.name, "body": row.body.name}
        with transaction.atomic():
            if not _end(_held(job), Job.Status.SUCCEEDED, **names, **last):
                raise _TooLate
            audit.write(audit.Event.MADE, job, audit.client(job.client))
        return True
    return False


def finish_training(job: Job, lora: bytes, likeness: dict | None = None) -> bool:
    """Store the LoRA and end the job as succeeded. ``likeness``: how similar the pictures of each checkpoint
    were to the photos."""
    photos = list(TrainingPhoto.objects.filter(job=job))
    skins = [photo.skin for photo in photos if photo.skin]
    row = LoraModel(
        code=job.code,
        job=job,
        client=job.client,
        visitor=job.visitor,
        faces=[photo.face for photo in photos if photo.face],
        skin_tone=skin.tone(skins),
        skin=skin.colour(skins),
        looks=looks.settled([photo.looks for photo in photos if photo.looks]),
        step=likeness and likeness["step"],
        distances=likeness["distances"] if likeness else {},
    )
    with contextlib.suppress(_TooLate), new_files() as files:
        if not _is_held_until_the_end(job):
            return False
        row.file.save(f"{job.code}.safetensors", ContentFile(lora), save=False)
        files.append(row.file)
        with transaction.atomic():
            if not _end(_held(job), Job.Status.SUCCEEDED, progress=1.0):
                raise _TooLate
            row.save()
            audit.write(audit.Event.MADE, job, audit.client(job.client))
        return True
    return False


def fail(job: Job, error_code: str, error_message: str, gave_up: bool = False) -> bool:
    """End the job as failed. ``error_message`` is a sentence that a person can act on. If the disk is full,
    the error becomes ``disk_full``. ``gave_up``: a killed process has ended the last attempt too."""
    if (error_code == "disk_full" or disk.is_full()) and _held(job).exists():
        folders.remove(job.code)  # they are removed anyway, and writing the row needs room on the disk
        error_code, error_message = "disk_full", f"{disk.TEXT} ({error_message})"
    fields = {"error_code": error_code, "error_message": error_message, "gave_up": gave_up}
    with transaction.atomic():
        ended = _end(_held(job), Job.Status.FAILED, **fields)
        if ended and error_code == "picture_refused":
            audit.write(audit.Event.REFUSED, job, audit.client(job.client), audit.SAFETY)
    return ended


def cancel(code: str) -> bool:
    """Cancel a job. A queued job ends at once; a running one stops when its worker notices. False: it had
    ended."""
    if not _end(Job.objects.filter(code=code, status__in=UNFINISHED), Job.Status.CANCELLED):
        return False
    if job := Job.objects.filter(code=code, worker="").first():
        clear_up(job)  # an earlier attempt may have left a folder
    return True


def clear_up(job: Job) -> None:
    """Remove the working files of a job that has ended or was deleted. A queued job keeps them to
    continue."""
    if not Job.objects.filter(pk=job.pk, status__in=UNFINISHED).exists():
        working_files.remove(job.code)


def let_go(job: Job) -> None:
    """Write that the run has left the job: from now on, it writes no files of this job."""
    Job.objects.filter(pk=job.pk, worker=job.worker, attempt=job.attempt).update(worker="")


# --- the token of post-back.py ------------------------------------------------------------------------------


def issue_token(job: Job) -> str:
    """A new token for the delivery of this job's LoRA. Only the token's hash is stored."""
    token = secrets.token_urlsafe(32)
    Job.objects.filter(pk=job.pk).update(token_hash=token_hash(token))
    return token


def find_by_token(code: str, token: str) -> Job | None:
    """The job, if ``token`` is the one that was issued last and the job hasn't ended. Otherwise None."""
    job = Job.objects.filter(code=code).exclude(token_hash="").first()
    return job if secrets.compare_digest(job.token_hash if job else "", token_hash(token)) else None
