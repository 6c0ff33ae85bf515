"""A visitor chooses: one of several candidates for a picture, or another face on the same picture.

Candidates are jobs of one request with different seeds. Each is a job like any other; together they are a
*group*. When one is kept, the others are deleted.

With a finished picture, the picture of the step before the face is kept (``Job.body``). From it, the face can
be painted again alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import BinaryIO

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext

from diffuser_api import audit
from diffuser_api.jobs import deletion, orders
from diffuser_api.jobs.orders import CantRunAgain, GenerationOrder
from diffuser_api.models import IdempotencyKey, Job, LoraModel
from generation.step_table import ORDER

MOST = 3  # candidates of one request


class CantKeep(Exception):
    """The text says why."""


# --- candidates ---------------------------------------------------------------------------------------------


def candidates(job: Job) -> QuerySet[Job]:
    """All candidates of this job's group, this one among them; none if the job is in no group."""
    mine = Job.objects.filter(client=job.client_id, visitor=job.visitor, group=job.group)
    return mine.none() if job.group in ("", Job.NOT_CHOSEN) else mine.order_by("pk")


def keep(job: Job) -> None:
    """Keep this candidate, and delete the others with their files. A picture that is alone stays as it is.

    Raises CantKeep. Don't call this inside a transaction, as ``deletion.delete``.
    """
    with transaction.atomic():
        # Of two candidates that are kept at the same moment, the second waits here, and is no candidate then.
        status = dict(candidates(job).select_for_update(no_key=True).values_list("pk", "status"))
        if job.pk not in status and job.group:
            raise CantKeep(gettext("Another candidate was chosen meanwhile."))
        if status.get(job.pk, Job.Status.SUCCEEDED) != Job.Status.SUCCEEDED:
            raise CantKeep(gettext("There is no picture yet."))
        others = Job.objects.filter(pk__in=[pk for pk in status if pk != job.pk])
        Job.objects.filter(pk=job.pk).update(group="")
        others.update(group=Job.NOT_CHOSEN)
        # The request that made them all is answered with the one that is left.
        IdempotencyKey.objects.filter(job__in=others).update(job=job)
    deletion.delete_all(others, LoraModel.objects.none(), audit.NOT_CHOSEN)


# --- the face alone -----------------------------------------------------------------------------------------


def digest(files: Iterable[BinaryIO]) -> str:
    """A hash of the catalogue's files that a picture is painted from, given in the order of PICTURES."""
    together = hashlib.sha256()
    for file in files:
        together.update(hashlib.file_digest(file, "sha256").digest())
    return together.hexdigest()


def can_paint_face(job: Job) -> bool:
    """Whether a new face is worth asking for. ``face_order`` looks more closely."""
    there = bool(job.body and job.lora_id and job.poi_image_id and job.action_image_id)
    return there and job.status == Job.Status.SUCCEEDED


def face_order(job: Job, seed: int | None = None) -> GenerationOrder:
    """An order for the same picture with another face. Raises CantRunAgain."""
    if job.kind != Job.Kind.GENERATION or "face" not in job.steps:
        raise CantRunAgain(gettext("This picture has no face of a visitor."))
    if job.status != Job.Status.SUCCEEDED:
        raise CantRunAgain(gettext("There is no picture yet."))
    order = orders.order_again(job, seed, on=job)
    if not job.body or not job.body.storage.exists(job.body.name):
        raise CantRunAgain(
            gettext("The steps before the face are no longer there: ask for the whole picture again.")
        )
    if job.parameters.get("made_from") != _digest_now(job):
        raise CantRunAgain(
            gettext("The place or the action was changed meanwhile: ask for the whole picture again.")
        )
    return order


def same_order(job: Job) -> GenerationOrder:
    """An order for exactly the same picture. Raises CantRunAgain."""
    if job.first == len(ORDER):
        return face_order(job, job.seed)
    return orders.order_again(job, job.seed)


def _digest_now(job: Job) -> str:
    """The ``digest`` of the files as they are now. Empty if one of them is gone."""
    place, action = job.poi_image, job.action_image
    stored = [place.image, action.skeleton, action.subject_mask, action.face_mask]
    opened = []
    try:
        for field_file in stored:
            opened.append(field_file.storage.open(field_file.name))
        return digest(opened)
    except (OSError, ValueError):
        return ""
    finally:
        for file in opened:
            file.close()
