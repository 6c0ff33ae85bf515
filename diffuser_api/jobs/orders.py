"""Makes jobs. API, studio and admin all fill in an order; ``create_job`` makes a picture's job from it, and
``create_training`` a training's."""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.core.files.base import ContentFile, File
from django.db import IntegrityError, transaction
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from diffuser_api import audit, wording
from diffuser_api.access import addresses
from diffuser_api.catalogue import fitting
from diffuser_api.jobs import lora_file, queue, wake_up
from diffuser_api.jobs.deletion import KEYS_KEPT
from diffuser_api.models import (
    ActionImage,
    Client,
    IdempotencyKey,
    Job,
    LeftVisitor,
    LoraModel,
    PoiImage,
    TrainingPhoto,
)
from diffuser_api.operations import checks, disk
from diffuser_api.photos import gate
from diffuser_api.photos.consent import Consent
from diffuser_api.storage import new_files
from diffuser_api.webhooks import outbox
from generation.step_table import TRAIN, planned

log = logging.getLogger(__name__)


class VisitorLeft(Exception):
    """The visitor had everything erased while this request was answered."""


# The exceptions that say why no job can be made now. Their texts are for the caller.
REFUSALS = (queue.QueueFull, disk.NoRoom, checks.ModelsMissing, fitting.TooSmall, wording.WordsRefused)
REFUSALS += (VisitorLeft,)
LORA_GONE = gettext_noop("The visitor's LoRA was deleted meanwhile.")
BETWEEN_CANDIDATES = 100_000_007  # of the seeds: far more than painting again, or a face's candidates, add


@dataclass(frozen=True, kw_only=True)
class Order:
    """The part of an order that trainings and pictures have in common.

    ``idempotency_key``: a row that isn't saved yet. It is saved in the same transaction as the job.
    ``address``: the visitor's IP address, if it is known. ``at_once``: how many unfinished jobs the visitor
    may have.
    """

    client: Client | None = None
    visitor: str = ""
    address: str = ""
    at_once: int | None = None
    webhook_url: str = ""
    idempotency_key: IdempotencyKey | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationOrder(Order):
    """The order of a picture. Without a LoRA, the picture has no face step. Without a seed, one is drawn.

    ``candidates``: so many jobs with different seeds, of which one can be kept (``choosing``). ``on``: a
    finished picture; only its face is painted, anew.
    """

    poi_image: PoiImage
    action_image: ActionImage
    lora: LoraModel | None = None
    age: str
    gender: str
    other_details: str = ""
    seed: int | None = None
    action_score: float | None = None  # the cosine, if the action was picked by free text
    candidates: int = 1
    on: Job | None = None

    def job(self, code: str) -> Job:
        """The job's row, not saved. If the LoRA can't be used, the job has none, and its parameter
        ``lora_problem`` says why."""
        misfit = self.lora and lora_file.misfit(self.lora)
        problem = {"lora_problem": {"code": misfit.code, "message": str(misfit)}} if misfit else {}
        lora = None if misfit else self.lora
        if self.on and lora is None:
            raise CantRunAgain(str(misfit or gettext(LORA_GONE)))
        steps = planned(with_lora=lora is not None)
        first, before = (len(steps), {"made_from": self.on.parameters["made_from"]}) if self.on else (1, {})
        return Job(
            code=code,
            kind=Job.Kind.GENERATION,
            steps=steps,
            first=first,
            progress=(first - 1) / len(steps),
            poi_image=self.poi_image,
            action_image=self.action_image,
            lora=lora,
            seed=secrets.randbelow(2**32) if self.seed is None else self.seed,
            parameters={
                "age": self.age,
                "gender": self.gender,
                "other_details": self.other_details,
                "action": self.action_image.action.name,
                "action_score": self.action_score,
                **problem,
                **before,
            },
        )


@dataclass(frozen=True, kw_only=True)
class TrainingOrder(Order):
    """The order of a LoRA. ``create_training`` adds the photos that the gate has cleaned."""

    photos: Sequence[gate.Seen] = ()
    consent: Consent | None = None  # None is possible only if API_NEEDS_CONSENT is off

    def job(self, code: str) -> Job:
        parameters = {"consent": self.consent.as_dict()} if self.consent else {}
        return Job(code=code, kind=Job.Kind.TRAINING, steps=[TRAIN], parameters=parameters)


class KeyUsedOtherwise(Exception):
    """An earlier request with this key asked for something else."""


def find_job(key: IdempotencyKey | None) -> Job | None:
    """The job that an earlier request with this key has made; None without one. Raises KeyUsedOtherwise."""
    if key is None:
        return None
    saved = IdempotencyKey.objects.filter(owner=key.owner, key=key.key).select_related("job").first()
    if saved is None:
        return None
    if saved.created_at < timezone.now() - KEYS_KEPT:
        saved.delete()
        return None
    if saved.body_hash != key.body_hash:
        raise KeyUsedOtherwise
    return saved.job


def create_job(order: GenerationOrder | TrainingOrder) -> Job:
    """Make the job's row, and all that belongs to it, in one transaction. Of several candidates, the first.
    The order of a training has photos that were looked at, so it comes from ``create_training``.

    If another request has saved the same idempotency key in the meantime, its job. Raises REFUSALS and
    KeyUsedOtherwise.
    """
    if isinstance(order, GenerationOrder):
        _check(order)
        _check_words(order)  # also of one that repeats an older picture, or is the staff's
    while True:
        jobs = _new_jobs(order)
        if isinstance(order, GenerationOrder):
            fitting.check(order.poi_image, order.action_image, with_face=jobs[0].lora is not None)
        try:
            _save(jobs, order)
        except _LoraErased:
            if order.on:
                raise CantRunAgain(gettext(LORA_GONE)) from None
            order = replace(order, lora=None)  # the same as for an unknown LoRA
            continue
        except IntegrityError:
            if earlier := find_job(order.idempotency_key):
                return earlier
            if Job.objects.filter(code__in=[job.code for job in jobs]).exists():
                continue  # another job has taken this code in the meantime
            raise
        for job in jobs:
            log.info("job %s: %s queued", job.code, job.kind)
        return jobs[0]


def create_training(order: TrainingOrder, files: list[File]) -> tuple[Job, list[dict]]:
    """Make the job of a training from these photos. Returns it with the warnings of ``gate.clean_photos``.

    Raises REFUSALS, if possible before any work is spent on the photos; also gate.PhotosRefused,
    throttles.TooMuchWork and KeyUsedOtherwise.
    """
    _check(order)
    try:
        photos, warnings = gate.clean_photos(files, order.address)
    except gate.PhotosRefused as refused:
        audit.photos_refused(order.client, refused.reasons)
        raise
    return create_job(replace(order, photos=photos)), warnings


def _check_words(order: GenerationOrder) -> None:
    """Raises WordsRefused."""
    try:
        wording.check(order.other_details, painted=True)
    except wording.WordsRefused as refused:
        audit.words_refused(order.client, [refused.code])
        raise


def _check(order: Order) -> None:
    """Check whether a job may be made now. Raises REFUSALS."""
    disk.check_room()
    checks.check_models()
    asked = order.candidates if isinstance(order, GenerationOrder) else 1
    queue.check_room(_new_job(order), order.at_once, asked)


def _new_jobs(order: GenerationOrder | TrainingOrder) -> list[Job]:
    """One, or all candidates of a picture. With a given seed, the others' seeds follow from it."""
    first = _new_job(order)
    if isinstance(order, TrainingOrder) or order.candidates == 1:
        return [first]
    seeds = [(first.seed + number * BETWEEN_CANDIDATES) % 2**32 for number in range(order.candidates)]
    jobs = [first, *(_new_job(replace(order, seed=seed)) for seed in seeds[1:])]
    for job in jobs:
        job.group = first.code
    return jobs


def _new_job(order: GenerationOrder | TrainingOrder) -> Job:
    job = order.job(_unused_code())
    job.client, job.visitor, job.webhook_url = order.client, order.visitor, order.webhook_url
    job.sender = addresses.mark_of(order.address) if order.address else ""
    return job


def _unused_code() -> str:
    while True:
        code = f"{secrets.randbelow(10**8):08d}"
        if not LoraModel.objects.filter(code=code).exists():
            return code


class _LoraErased(Exception):
    """The LoRA was deleted after it had been looked up for this order."""


def _save(jobs: list[Job], order: GenerationOrder | TrainingOrder) -> None:
    with new_files() as files:
        photos = []
        if isinstance(order, TrainingOrder):
            photos = _store_photos(jobs[0], order.photos, files)
        elif order.on:
            for job in jobs:
                _copy_body(order.on, job, files)
        with transaction.atomic():
            _save_rows(jobs, photos, order)


def _save_rows(jobs: list[Job], photos: list[TrainingPhoto], order: GenerationOrder | TrainingOrder) -> None:
    _take_the_clients_turn(order.client)
    if LeftVisitor.objects.filter(client=order.client, visitor=order.visitor).exists():
        raise VisitorLeft("This visitor had everything erased.")
    queue.check_room(jobs[0], order.at_once, len(jobs))
    _check_lora(jobs[0].lora)
    for job in jobs:
        job.save(force_insert=True)
        outbox.announce(job.code)
        transaction.on_commit(functools.partial(wake_up.notify, job.steps[0]))
    for photo in photos:
        photo.save()
    if key := order.idempotency_key:
        key.job = jobs[0]
        key.save(force_insert=True)


def _take_the_clients_turn(client: Client | None) -> None:
    """Lock the client's row, so that two requests can't count the client's jobs at the same time. SQLite has
    only one writer at a time, and needs no lock."""
    if client:
        Client.objects.select_for_update(no_key=True).filter(pk=client.pk).first()


def _check_lora(lora: LoraModel | None) -> None:
    """Raises _LoraErased if the LoRA is deleted. The LoRA's row stays locked until the job is saved (SQLite
    has only one writer at a time, and needs no lock). So a deletion comes before the job is made, or deletes
    the job too."""
    if lora and not LoraModel.objects.select_for_update(no_key=True).filter(pk=lora.pk).exists():
        raise _LoraErased


def _store_photos(job: Job, photos: Sequence[gate.Seen], files: list[FieldFile]) -> list[TrainingPhoto]:
    """Store the photos' files, and return their rows, which aren't saved yet. Each file is added to ``files``
    as soon as it is stored, so that it is deleted if anything fails."""
    rows = []
    for index, photo in enumerate(photos, start=1):
        seen = {"face": photo.embedding, "skin": photo.skin, "looks": photo.looks}
        rows.append(TrainingPhoto(job=job, index=index, **seen))
        rows[-1].file.save(f"{job.code}-{index}.jpg", ContentFile(photo.clean), save=False)
        files.append(rows[-1].file)
    return rows


def _copy_body(source: Job, job: Job, files: list[FieldFile]) -> None:
    """The new job has a copy: it needs nothing of the picture that it began with."""
    try:
        content = source.body.open("rb")
    except (OSError, ValueError) as error:
        raise CantRunAgain(gettext("The picture was deleted meanwhile.")) from error
    with content:
        job.body.save(f"{job.code}.png", File(content), save=False)
        files.append(job.body)


class CantRunAgain(Exception):
    """The text says why."""


def order_again(job: Job, seed: int | None, on: Job | None = None) -> GenerationOrder:
    """An order for the same picture. Without a seed, one is drawn. ``on``: see GenerationOrder. Raises
    CantRunAgain."""
    if job.kind != Job.Kind.GENERATION:
        raise CantRunAgain(
            gettext("A training's photos are deleted when it ends: they have to be sent again.")
        )
    if not (job.poi_image and job.action_image):
        raise CantRunAgain(gettext("The place's or the action's picture was deleted meanwhile."))
    if "face" in job.steps and (job.lora is None or job.lora.is_erased):
        raise CantRunAgain(gettext(LORA_GONE))
    if job.lora and (misfit := lora_file.misfit(job.lora)):
        raise CantRunAgain(str(misfit))
    return GenerationOrder(
        poi_image=job.poi_image,
        action_image=job.action_image,
        lora=job.lora,
        age=job.parameters["age"],
        gender=job.parameters["gender"],
        other_details=job.parameters["other_details"],
        seed=seed,
        action_score=job.parameters.get("action_score"),
        on=on,
        client=job.client,
        visitor=job.visitor,
    )
