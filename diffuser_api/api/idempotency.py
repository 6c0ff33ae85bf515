"""A request that is sent twice makes one job: the client's ``Idempotency-Key`` names it, for a day."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import timedelta

from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError
from django.utils import timezone
from rest_framework import status
from rest_framework.exceptions import APIException, ValidationError

from diffuser_api.models import IdempotencyKey, Job

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
LONGEST = IdempotencyKey._meta.get_field("key").max_length


class KeyUsedOtherwise(APIException):
    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = f"This {HEADER} was sent with another request before; use a new one for each new job."
    default_code = "key_used_otherwise"


def once(request, make: Callable[[Callable[[Job], None]], Job]) -> Job:
    """The job that this key of the caller's made before; else what ``make`` makes, which calls what it is
    given with the new job, in the transaction that makes it. Raises KeyUsedOtherwise, ValidationError."""
    key = request.headers.get(HEADER)
    if key is None:
        return make(lambda job: None)
    if not (1 <= len(key) <= LONGEST and key.isprintable()):
        raise ValidationError({HEADER: [f"Send 1 to {LONGEST} printable characters."]})
    asked, owner = _hash(request), _owner(request.user)

    def remember(job: Job) -> None:
        IdempotencyKey.objects.create(owner=owner, key=key, body_hash=asked, job=job)

    if job := _find(owner, key, asked):
        return job
    try:
        return make(remember)
    except IntegrityError:  # the same request, at the same time, was first
        if job := _find(owner, key, asked):
            return job
        raise


def _owner(caller) -> str:
    """Visitors of one client have keys of their own."""
    return f"{caller.client.pk if caller.client else ''}/{caller.visitor}"


def forget_old() -> int:
    return IdempotencyKey.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def _find(owner: str, key: str, asked: str) -> Job | None:
    row = IdempotencyKey.objects.filter(owner=owner, key=key).select_related("job").first()
    if row is None:
        return None
    if row.created_at < timezone.now() - KEPT:
        row.delete()
        return None
    if row.body_hash != asked:
        raise KeyUsedOtherwise
    return row.job


def _hash(request) -> str:
    """Of the address and what was asked, not of the bytes: a multipart body has a new boundary each time."""
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
