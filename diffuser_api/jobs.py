"""The life of a job. Every change of its status is in this module and nowhere else.

queued -> running -> succeeded | failed. A change is one conditional UPDATE; who gets no row lost the race and
leaves quietly. Knows rows and the queue; what a job does is up to the two dispatchers.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from django.core.files import File
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from diffuser_api.models import ActionImage, Job, LoraModel, PoiImage, TrainingPhoto
from generation.folder import ORDER

log = logging.getLogger(__name__)
SECONDS_BETWEEN_WRITES = 0.5  # of progress
JOBS_TO_LEARN_FROM = 20  # the estimate is the median duration of the last so many of the kind
TRAINING_STEPS = ["train"]


# --- making -------------------------------------------------------------------------------------------------


def _create(kind: Job.Kind, after: Callable[[Job], None] = lambda job: None, **fields) -> Job:
    """The row and its queue message, in one transaction; ``after`` adds what else belongs to the row."""
    from diffuser_api.tasks import run_job

    while True:
        code = f"{secrets.randbelow(10**8):08d}"
        if LoraModel.objects.filter(code=code).exists():
            continue
        try:
            with transaction.atomic():
                job = Job.objects.create(code=code, kind=kind, **fields)
                after(job)
                run_job.enqueue(code)
        except IntegrityError:
            if Job.objects.filter(code=code).exists():
                continue  # the code was taken meanwhile
            raise
        log.info("job %s: %s queued", code, kind)
        return job


def create_training(photos: Sequence[bytes], faces: Sequence[list[float] | None] | None = None) -> Job:
    """A training of these cleaned JPEG photos, whose files go again if the row can't be made.

    ``faces``: each photo's embedding, None where there is none.
    """
    stored = []

    def store(job: Job) -> None:
        for index, (photo, face) in enumerate(
            zip(photos, faces or [None] * len(photos), strict=True), start=1
        ):
            row = TrainingPhoto(job=job, index=index, face=face)
            row.file.save(f"{job.code}-{index}.jpg", ContentFile(photo), save=False)
            stored.append(row.file)
            row.save()

    try:
        return _create(Job.Kind.TRAINING, store, steps=TRAINING_STEPS)
    except BaseException:
        for file in stored:
            file.storage.delete(file.name)
        raise


def create_generation(
    poi_image: PoiImage, action_image: ActionImage, lora: LoraModel | None, seed: int | None, **parameters
) -> Job:
    """A picture. ``parameters``: age, gender, other_details, and what else the request said."""
    return _create(
        Job.Kind.GENERATION,
        poi_image=poi_image,
        action_image=action_image,
        lora=lora,
        seed=secrets.randbelow(2**32) if seed is None else seed,
        steps=list(ORDER) if lora else list(ORDER[:-1]),
        parameters=parameters,
    )


# --- running ------------------------------------------------------------------------------------------------


def claim(code: str) -> Job | None:
    """Take a queued job; None when it is gone, taken or finished."""
    now = timezone.now()
    changed = Job.objects.filter(code=code, status=Job.Status.QUEUED).update(
        status=Job.Status.RUNNING, started_at=now, heartbeat_at=now
    )
    if not changed:
        log.info("job %s: nothing to do", code)
        return None
    return Job.objects.get(code=code)


def run(job: Job) -> None:
    """Do a claimed job; whatever goes wrong ends in a row that says so."""
    from diffuser_api import generation_dispatcher, training_dispatcher

    dispatchers = {Job.Kind.TRAINING: training_dispatcher, Job.Kind.GENERATION: generation_dispatcher}
    try:
        dispatchers[job.kind].run(job)
    except Exception:
        log.exception("job %s: unexpected error", job.code)
        fail(
            job.code, "internal_error", "Something went wrong on our side; the log of the worker tells what."
        )


def progress(job: Job, *, step: str, done: int, of: int, index: int = 1) -> None:
    """Write how far step ``index`` is; also the job's heartbeat. At most two writes a second."""
    now = time.monotonic()
    if now - getattr(job, "progress_written_at", 0.0) < SECONDS_BETWEEN_WRITES:
        return
    job.progress_written_at = now
    share = (index - 1 + min(1.0, done / max(1, of))) / max(1, len(job.steps))
    Job.objects.filter(pk=job.pk, status=Job.Status.RUNNING).update(
        step=step, progress=min(1.0, share), heartbeat_at=Now()
    )


def add_timing(job: Job, timing: dict) -> None:
    """Add what a finished step took to the job's row."""
    job.timings = [*job.timings, timing]
    Job.objects.filter(pk=job.pk).update(timings=job.timings, heartbeat_at=Now())


# --- ending -------------------------------------------------------------------------------------------------


def _end(code: str, status: Job.Status, **fields) -> bool:
    """From running to an end state; False when somebody else was first. A training's photos go with it."""
    changed = Job.objects.filter(code=code, status=Job.Status.RUNNING).update(
        status=status, finished_at=Now(), token_hash="", **fields
    )
    if changed:
        TrainingPhoto.objects.filter(job__code=code).delete()
        log.info("job %s: %s %s", code, status, fields.get("error_code", ""))
    return bool(changed)


def finish_generation(code: str, picture: Path) -> bool:
    """Store the picture as the job's output."""
    output = Job._meta.get_field("output")
    with picture.open("rb") as file:
        name = output.storage.save(f"{output.upload_to}{code}.png", File(file))
    if not _end(code, Job.Status.SUCCEEDED, output=name, progress=1.0):
        output.storage.delete(name)
        return False
    return True


def finish_training(code: str, lora: bytes) -> bool:
    """Make the LoRA usable and the job succeeded, both or neither."""
    photos = TrainingPhoto.objects.filter(job__code=code, face__isnull=False)
    row = LoraModel(code=code, faces=list(photos.values_list("face", flat=True)))
    row.file.save(f"{code}.safetensors", ContentFile(lora), save=False)
    stored = row.file.name
    try:
        with transaction.atomic():
            won = _end(code, Job.Status.SUCCEEDED, progress=1.0)
            if won:
                row.job = Job.objects.get(code=code)
                row.save()
    except BaseException:
        row.file.storage.delete(stored)
        raise
    if not won:
        row.file.storage.delete(stored)
    return won


def fail(code: str, error_code: str, error_message: str) -> bool:
    """``error_message`` is a sentence that a person can act on."""
    return _end(code, Job.Status.FAILED, error_code=error_code, error_message=error_message)


# --- the token of post-back.py ------------------------------------------------------------------------------


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def issue_token(job: Job) -> str:
    """A new token for the delivery of this job's LoRA; only its hash is kept."""
    token = secrets.token_urlsafe(32)
    Job.objects.filter(pk=job.pk).update(token_hash=_hash(token))
    return token


def check_token(code: str, token: str) -> bool:
    """True for the token that was issued last, until the job ends."""
    issued = Job.objects.filter(code=code).exclude(token_hash="").values_list("token_hash", flat=True).first()
    return secrets.compare_digest(issued or "", _hash(token))


# --- how long ----------------------------------------------------------------------------------------------


def _ahead(job: Job):
    """Running jobs, and queued ones that came earlier."""
    running = Job.objects.filter(status=Job.Status.RUNNING)
    return running | Job.objects.filter(status=Job.Status.QUEUED, pk__lt=job.pk)


def position(job: Job) -> int | None:
    """How many jobs are before this one; None when it waits no more."""
    return _ahead(job).count() if job.status == Job.Status.QUEUED else None


def typical_seconds(kind: str) -> float | None:
    """Median duration of the last succeeded jobs of this kind; None when there was none yet."""
    finished = Job.objects.filter(kind=kind, status=Job.Status.SUCCEEDED, started_at__isnull=False)
    times = finished.order_by("-finished_at").values_list("started_at", "finished_at")[:JOBS_TO_LEARN_FROM]
    return statistics.median((end - start).total_seconds() for start, end in times) if times else None


def eta_seconds(job: Job) -> int | None:
    """Seconds until the job is done, by what earlier jobs took; 0 when finished, None when unknown."""
    if job.is_finished:
        return 0
    rows = [job] if job.status == Job.Status.RUNNING else [*_ahead(job), job]
    typical = {kind: typical_seconds(kind) for kind in {row.kind for row in rows}}
    if None in typical.values():
        return None
    return round(sum(typical[row.kind] * (1 - row.progress) for row in rows))
