"""A button of the desk that is clicked twice makes one job: each page's form carries another key."""

from __future__ import annotations

import hashlib
import json
import secrets

from diffuser_api.models import IdempotencyKey

FIELD = "once"


def new() -> dict[str, str]:
    """For a page's context."""
    return {FIELD: secrets.token_urlsafe(12)}


def key_of(request) -> IdempotencyKey | None:
    """A form that comes back from the browser's cache has its old key: what was chosen belongs to the key."""
    if not request.POST.get(FIELD):
        return None
    fields = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
    asked = hashlib.sha256(json.dumps([request.path, fields]).encode()).hexdigest()
    return IdempotencyKey(owner=f"desk {request.user.pk}", key=asked)
