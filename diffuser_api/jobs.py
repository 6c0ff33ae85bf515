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
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.conf import settings
from django.core.files import File
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now
from django.utils import timezone

from diffuser_api import webhooks
from diffuser_api.models import ActionImage, Client, Job, LoraModel, PoiImage, TrainingPhoto
from generation.folder import ORDER

log = logging.getLogger(__name__)
SECONDS_BETWEEN_WRITES = 0.5  # of progress
SECONDS_TO_RETRY = 60  # what a client with too many jobs is told while no duration is known
TURN_MEMORY = timedelta(days=1)  # a client that had no turn for so long counts as new
JOBS_TO_LEARN_FROM = 20  # the estimate is the median duration of the last so many of the kind
TRAINING_STEPS = ["train"]


# --- making -------------------------------------------------------------------------------------------------


class QueueFull(Exception):
    """The client has as many jobs waiting as it may; ``seconds`` until it is worth another try."""

    def __init__(self, seconds: int):
        super().__init__(f"{settings.MAX_JOBS_WAITING} of your jobs are waiting, and no more are taken.")
        self.seconds = seconds


def _check_room(client: Client | None) -> None:
    """Raises QueueFull. Inside the transaction of ``_create``, so that on SQLite no race passes the limit."""
    waiting = Job.objects.filter(client=client, status=Job.Status.QUEUED)
    if waiting.count() >= settings.MAX_JOBS_WAITING:
        raise QueueFull(round(typical_seconds(waiting[0].kind) or SECONDS_TO_RETRY))


def _create(kind: Job.Kind, after: Callable[[Job], None] = lambda job: None, **fields) -> Job:
    """The row and its queue message, in one transaction; ``after`` adds what else belongs to the row.

    Raises QueueFull.
    """
    from diffuser_api.tasks import run_job

    while True:
        code = f"{secrets.randbelow(10**8):08d}"
        if LoraModel.objects.filter(code=code).exists():
            continue
        try:
            with transaction.atomic():
                _check_room(fields.get("client"))
                job = Job.objects.create(code=code, kind=kind, **fields)
                after(job)
                webhooks.announce(code)
                run_job.enqueue(code)
        except IntegrityError:
            if Job.objects.filter(code=code).exists():
                continue  # the code was taken meanwhile
            raise
        log.info("job %s: %s queued", code, kind)
        return job


def create_training(
    photos: Sequence[bytes], *, client: Client | None = None, visitor: str = "", webhook_url: str = ""
) -> Job:
    """A training of these cleaned JPEG photos, whose files go again if the row can't be made."""
    stored = []

    def store(job: Job) -> None:
        for index, photo in enumerate(photos, start=1):
            row = TrainingPhoto(job=job, index=index)
            row.file.save(f"{job.code}-{index}.jpg", ContentFile(photo), save=False)
            stored.append(row.file)
            row.save()

    try:
        return _create(
            Job.Kind.TRAINING,
            store,
            steps=TRAINING_STEPS,
            client=client,
            visitor=visitor,
            webhook_url=webhook_url,
        )
    except BaseException:
        for file in stored:
            file.storage.delete(file.name)
        raise


def create_generation(
    poi_image: PoiImage,
    action_image: ActionImage,
    lora: LoraModel | None,
    seed: int | None,
    *,
    client: Client | None = None,
    visitor: str = "",
    webhook_url: str = "",
    **parameters,
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
        client=client,
        visitor=visitor,
        webhook_url=webhook_url,
    )


# --- running ------------------------------------------------------------------------------------------------


def claim(code: str) -> Job | None:
    """Take a queued job; None when it is gone, taken or finished."""
    now = timezone.now()
    with transaction.atomic():
        changed = Job.objects.filter(code=code, status=Job.Status.QUEUED).update(
            status=Job.Status.RUNNING, started_at=now, heartbeat_at=now
        )
        if not changed:
            log.info("job %s: nothing to do", code)
            return None
        webhooks.announce(code)
    return Job.objects.get(code=code)


def in_turn() -> list[tuple[int, str]]:
    """(pk, kind) of the queued jobs in the order in which they will be claimed.

    Clients take turns: a client's first job comes before any other's second one, and of two firsts that one's
    whose client waits longer since its last turn began. Among a client's own jobs, who came first.
    """
    queued = list(
        Job.objects.filter(status=Job.Status.QUEUED).order_by("pk").values_list("pk", "kind", "client")
    )
    turns = Job.objects.filter(started_at__gt=timezone.now() - TURN_MEMORY).order_by()
    last_turn = dict(turns.values_list("client").annotate(Max("started_at")))
    long_ago = datetime.min.replace(tzinfo=UTC)
    rounds, order = Counter(), []
    for pk, kind, client in queued:
        order.append((rounds[client], last_turn.get(client, long_ago), pk, kind))
        rounds[client] += 1
    return [(pk, kind) for *_, pk, kind in sorted(order)]


def claim_next() -> Job | None:
    """Take the queued job whose turn it is; None when there is none.

    A queue message is only the news that there is work: which job its worker takes is decided here.
    """
    while turns := in_turn():
        if job := claim(Job.objects.values_list("code", flat=True).get(pk=turns[0][0])):
            return job
    return None


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
    with transaction.atomic():
        changed = Job.objects.filter(code=code, status=Job.Status.RUNNING).update(
            status=status, finished_at=Now(), token_hash="", **fields
        )
        if changed:
            TrainingPhoto.objects.filter(job__code=code).delete()
            webhooks.announce(code)
    if changed:
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
    row = LoraModel(code=code)
    row.file.save(f"{code}.safetensors", ContentFile(lora), save=False)
    stored = row.file.name
    try:
        with transaction.atomic():
            won = _end(code, Job.Status.SUCCEEDED, progress=1.0)
            if won:
                row.job = job = Job.objects.get(code=code)
                row.client, row.visitor = job.client, job.visitor
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


def queued_before(job: Job) -> list[str]:
    """The kinds of the queued jobs whose turn comes before that of this one."""
    turns = in_turn()
    pks = [pk for pk, _ in turns]
    return [kind for _, kind in turns[: pks.index(job.pk)]] if job.pk in pks else []


def position(job: Job, before: list[str] | None = None) -> int | None:
    """How many jobs are before this one; None when it waits no more. ``before``: of ``queued_before``."""
    if job.status != Job.Status.QUEUED:
        return None
    before = queued_before(job) if before is None else before
    return Job.objects.filter(status=Job.Status.RUNNING).count() + len(before)


def typical_seconds(kind: str) -> float | None:
    """Median duration of the last succeeded jobs of this kind; None when there was none yet."""
    finished = Job.objects.filter(kind=kind, status=Job.Status.SUCCEEDED, started_at__isnull=False)
    times = finished.order_by("-finished_at").values_list("started_at", "finished_at")[:JOBS_TO_LEARN_FROM]
    return statistics.median((end - start).total_seconds() for start, end in times) if times else None


def eta_seconds(job: Job, before: list[str] | None = None) -> int | None:
    """Seconds until the job is done, by what earlier jobs took; 0 when finished, None when unknown."""
    if job.is_finished:
        return 0
    left = [(job.kind, 1 - job.progress)]
    if job.status == Job.Status.QUEUED:
        running = Job.objects.filter(status=Job.Status.RUNNING).values_list("kind", "progress")
        before = queued_before(job) if before is None else before
        left += [(kind, 1 - done) for kind, done in running] + [(kind, 1.0) for kind in before]
    typical = {kind: typical_seconds(kind) for kind in {kind for kind, _ in left}}
    if None in typical.values():
        return None
    return round(sum(typical[kind] * share for kind, share in left))
