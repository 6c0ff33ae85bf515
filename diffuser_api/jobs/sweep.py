"""Repairs what a crash, a kill or a power cut has left. Runs at a worker's start and every half minute.

All functions may run at any time and in several workers at once: each change of a row is conditional, and
only files and folders that belong to no row are removed. ``status_changes`` changes the status of jobs.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage
from django.db import Error, connection

from diffuser_api import audit, storage
from diffuser_api.jobs import deletion, folders, processes, status_changes, working_files, write_ahead_log
from diffuser_api.models import Job, LoraModel, TrainingPhoto
from diffuser_api.operations import installation, workers
from diffuser_api.photos import gate

log = logging.getLogger(__name__)
SECONDS_BETWEEN_SWEEPS = 30.0
SECONDS_BETWEEN_BUCKETS = 300.0
WRITING_SECONDS = 120.0  # a younger file may still get its row: files are written before their rows
UPLOAD_SECONDS = 600.0  # an upload without new bytes for so long belongs to no request any more


def attempt() -> None:
    """Call ``sweep``, and log its errors, for example when the disk is full."""
    try:
        sweep()
    except (Error, storage.Away) as error:
        log.warning("the sweep was cut short, the next one follows: %s", error)
    except Exception:
        log.exception("the sweep was cut short, the next one follows")
    finally:
        connection.close()


def sweep() -> None:
    end_dead_runs()
    remove_folders()
    remove_uploads()
    workers.forget_silent()
    deletion.forget_keys()
    deletion.delete_expired()
    audit.forget_old()
    write_ahead_log.empty()
    remove_files_if_due()


def end_dead_runs() -> None:
    """Queue jobs of dead workers again, or let them fail. The dead workers' processes are ended first."""
    dead = [job for job in Job.objects.filter(status=Job.Status.RUNNING) if status_changes.is_dead(job)]
    for job in dead:
        if processes.is_here(job.worker) and job.worker != processes.name():
            processes.end_worker(job.worker)  # a worker that hangs counts as dead, but still has its process
    processes.end_orphans()
    for job in dead:
        step = f" in step {job.step}" if job.step else ""
        status_changes.retry(job, "worker_died", f"The worker died while it ran this job{step}.")


def remove_folders() -> None:
    """Remove the working folders of jobs that have ended or were deleted, if this installation made them."""
    codes = folders.codes()  # read before the rows: a job that begins now has its row then
    unfinished = Job.objects.filter(status__in=status_changes.UNFINISHED)
    for code in codes - set(unfinished.values_list("code", flat=True)):
        folders.remove(code)
        log.warning("job %s: folders without an owner removed", code)


def remove_files_if_due() -> None:
    """A disk is searched at each sweep. A bucket is searched less often, and by one worker for all, since
    that takes a request for 1000 files."""
    global _next_look
    if settings.BUCKET and not workers.is_first(processes.name()):
        return
    if time.monotonic() >= _next_look:
        remove_files()
        _next_look = time.monotonic() + (SECONDS_BETWEEN_BUCKETS if settings.BUCKET else 0)


_next_look = 0.0  # time.monotonic()


def remove_files(writing_seconds: float = WRITING_SECONDS) -> None:
    """Remove stored files of visitors that no row names. A process died after it had written the file, and
    before it could write the row."""
    installation.claim_files()
    if owner := installation.other_owner():
        log.debug("stored files are left alone: they belong to %s", owner)
        return
    writing = timedelta(seconds=writing_seconds)
    of_jobs = [(Job, field) for field in ("output", "body", "shared_small")]
    for model, field in (*of_jobs, (LoraModel, "file"), (TrainingPhoto, "file")):
        folder = model._meta.get_field(field).upload_to.rstrip("/")
        for page in default_storage.pages(folder):
            old = {name for name, age in page.items() if age >= writing}
            owned = model.objects.filter(**{f"{field}__in": old}).values_list(field, flat=True)
            for name in old.difference(owned):
                default_storage.delete(name)
                log.warning("%s: a file without a row removed", name)
    for name in working_files.ownerless(writing):
        default_storage.delete(name)
        log.warning("%s: a copy without an unfinished job removed", name)


def remove_uploads(seconds: float = UPLOAD_SECONDS) -> None:
    """Remove uploaded photos that a killed web process has left. A process that still reads one has the file
    open, so it can read on."""
    folder = Path(settings.TMP_DATA_DIR)
    for path in (*folder.glob(f"{gate.FOLDER_PREFIX}*"), *folder.glob("*.upload*")):
        with contextlib.suppress(FileNotFoundError):  # it was just being removed
            if time.time() - path.stat().st_mtime >= seconds:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
                log.warning("%s: an upload without a process removed", path.name)
