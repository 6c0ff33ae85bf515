"""Jobs are made here, from an order that API, studio and admin fill in alike."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models.fields.files import FieldFile

from diffuser_api.access import addresses
from diffuser_api.catalogue import fitting
from diffuser_api.jobs import lora_file, queue, wake_up
from diffuser_api.models import ActionImage, Client, IdempotencyKey, Job, LoraModel, PoiImage, TrainingPhoto
from diffuser_api.operations import checks, disk
from diffuser_api.photos.consent import Consent
from diffuser_api.photos.gate import Seen
from diffuser_api.storage import transaction_with_files
from diffuser_api.webhooks import outbox
from generation.step_table import planned

log = logging.getLogger(__name__)
# Why no job is made now; the text says it.
REFUSALS = (queue.QueueFull, disk.NoRoom, checks.ModelsMissing, fitting.TooSmall)


@dataclass(frozen=True, kw_only=True)
class Order:
    """``idempotency_key`` is a row that isn't saved yet: the job and its key are saved both or neither.
    ``address``: the visitor's, if it is known. ``at_once``: unfinished jobs that the visitor may have."""

    client: Client | None = None
    visitor: str = ""
    address: str = ""
    at_once: int | None = None
    webhook_url: str = ""
    idempotency_key: IdempotencyKey | None = None


@dataclass(frozen=True, kw_only=True)
class GenerationOrder(Order):
    """A picture. Without a LoRA it has no face step; ``seed`` None: any."""

    poi_image: PoiImage
    action_image: ActionImage
    lora: LoraModel | None = None
    age: str
    gender: str
    other_details: str = ""
    seed: int | None = None
    action_score: float | None = None  # cosine, of an action that was picked by free text

    def job(self, code: str) -> Job:
        """Without the LoRA if that can't be used; ``lora_problem`` among the parameters says why."""
        misfit = self.lora and lora_file.misfit(self.lora)
        problem = {"lora_problem": {"code": misfit.code, "message": str(misfit)}} if misfit else {}
        lora = None if misfit else self.lora
        return Job(
            code=code,
            kind=Job.Kind.GENERATION,
            steps=planned(with_lora=lora is not None),
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
            },
        )


@dataclass(frozen=True, kw_only=True)
class TrainingOrder(Order):
    """A LoRA of the person in these photos, which the gate has cleaned."""

    photos: Sequence[Seen] = ()
    consent: Consent | None = None  # where the setting lets a client ask without it

    def job(self, code: str) -> Job:
        parameters = {"consent": self.consent.as_dict()} if self.consent else {}
        return Job(code=code, kind=Job.Kind.TRAINING, steps=["train"], parameters=parameters)


def create_job(order: GenerationOrder | TrainingOrder) -> Job:
    """The row and all that belongs to it, in one transaction.

    Raises REFUSALS, and IntegrityError if another request has saved the same idempotency key meanwhile.
    """
    check(order)
    while True:
        job = _new_job(order)
        if isinstance(order, GenerationOrder):
            fitting.check(order.poi_image, order.action_image, with_face=job.lora is not None)
        try:
            _save(job, order)
        except _LoraErased:
            order = replace(order, lora=None)  # as if it had been unknown from the start
            continue
        except IntegrityError:
            if Job.objects.filter(code=job.code).exists():
                continue  # the code was taken meanwhile
            raise
        log.info("job %s: %s queued", job.code, job.kind)
        return job


def check(order: Order) -> None:
    """Whether a job may be made now: before work is spent on photos that no job will use. Raises REFUSALS."""
    disk.check_room()
    checks.check_models()
    queue.check_room(_new_job(order), order.at_once)


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
    """It was erased after it had been looked up for this order."""


def _save(job: Job, order: GenerationOrder | TrainingOrder) -> None:
    with transaction_with_files() as files:
        _take_the_clients_turn(order.client)
        queue.check_room(job, order.at_once)
        _check_lora(job.lora)
        job.save(force_insert=True)
        if isinstance(order, TrainingOrder):
            _save_photos(job, order.photos, files)
        if key := order.idempotency_key:
            key.job = job
            key.save(force_insert=True)
        outbox.announce(job.code)
        transaction.on_commit(wake_up.notify)


def _take_the_clients_turn(client: Client | None) -> None:
    """No two jobs of a client are counted at the same time. SQLite has one writer at a time anyway."""
    if client:
        Client.objects.select_for_update(no_key=True).filter(pk=client.pk).first()


def _check_lora(lora: LoraModel | None) -> None:
    """Raises _LoraErased. The row stays locked until the job is saved; SQLite has one writer at a time and
    needs no lock. So a LoRA is erased before the job is made, or together with it."""
    if lora and not LoraModel.objects.select_for_update(no_key=True).filter(pk=lora.pk).exists():
        raise _LoraErased


def _save_photos(job: Job, photos: Sequence[Seen], files: list[FieldFile]) -> None:
    """Adds each file to ``files`` as soon as it is stored."""
    for index, photo in enumerate(photos, start=1):
        row = TrainingPhoto(job=job, index=index, face=photo.embedding, skin=photo.skin)
        row.file.save(f"{job.code}-{index}.jpg", ContentFile(photo.clean), save=False)
        files.append(row.file)
        row.save()


class CantRunAgain(Exception):
    """The text says why."""


def run_again(job: Job, seed: int | None) -> Job:
    """A new job that asks for the same picture; ``seed`` None: any. Raises CantRunAgain and REFUSALS."""
    return create_job(order_again(job, seed))


def order_again(job: Job, seed: int | None) -> GenerationOrder:
    """Raises CantRunAgain."""
    if job.kind != Job.Kind.GENERATION:
        raise CantRunAgain("A training's photos are deleted when it ends: they have to be sent again.")
    if not (job.poi_image and job.action_image):
        raise CantRunAgain("The place's or the action's picture was deleted meanwhile.")
    if "face" in job.steps and (job.lora is None or job.lora.is_erased):
        raise CantRunAgain("The visitor's LoRA was deleted meanwhile.")
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
        client=job.client,
        visitor=job.visitor,
    )
