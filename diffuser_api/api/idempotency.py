"""A request that is sent twice within a day makes one job, if it has the same ``Idempotency-Key``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError

from diffuser_api.jobs import orders
from diffuser_api.jobs.deletion import KEYS_KEPT
from diffuser_api.jobs.orders import GenerationOrder, TrainingOrder
from diffuser_api.models import IdempotencyKey, Job

HEADER = "Idempotency-Key"
LONGEST = IdempotencyKey._meta.get_field("key").max_length


class KeyUsedOtherwise(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = f"This {HEADER} was sent with another request before; use a new one for each new job."
    default_code = "key_used_otherwise"


def key_of(request) -> IdempotencyKey | None:
    """The request's key as a row that isn't saved yet. None if the request has no key. Raises
    ValidationError."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not (1 <= len(key) <= LONGEST and key.isprintable()):
        raise ValidationError({HEADER: [f"Send 1 to {LONGEST} printable characters."]})
    client, visitor = (
        request.user.client,
        request.user.visitor or "",
    )  # visitors of one client have their own keys
    return IdempotencyKey(owner=f"{client.pk if client else ''}/{visitor}", key=key, body_hash=_hash(request))


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
    """Make a new job. If the same request came twice at the same time, both get the job of the faster one.
    Raises REFUSALS and KeyUsedOtherwise."""
    try:
        return orders.create_job(order)
    except IntegrityError:
        if job := find_job(order.idempotency_key):
            return job
        raise


def _hash(request) -> str:
    """The hash of the request's path and fields. Its bytes can't be used: a multipart body has a new boundary
    each time."""
    data = request.data
    if not isinstance(data, Mapping):
        fields = [("", [data])]
    elif hasattr(data, "lists"):
        fields = list(data.lists())
    else:
        fields = [(name, [value]) for name, value in data.items()]
    plain = [(name, [_plain(value) for value in values]) for name, values in fields]
    text = json.dumps([request.path, sorted(plain, key=lambda field: field[0])], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value):
    if not isinstance(value, UploadedFile):
        return value
    digest = hashlib.sha256()
    for chunk in value.chunks():
        digest.update(chunk)
    value.seek(0)
    return digest.hexdigest()
