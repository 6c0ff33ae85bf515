"""The header ``Idempotency-Key``: a request that is sent twice within a day with one key makes one job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from django.core.files.uploadedfile import UploadedFile
from rest_framework.exceptions import ValidationError

from diffuser_api.models import IdempotencyKey

HEADER = "Idempotency-Key"
LONGEST = IdempotencyKey._meta.get_field("key").max_length


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
