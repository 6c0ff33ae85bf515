"""A form that is sent twice, by a second tap or from a second page, makes one job.

A job is saved together with a key, which no two jobs can have: of two requests at the same moment, the second
is led to the first one's job.
"""

from __future__ import annotations

import hashlib
import json

from diffuser_api.models import IdempotencyKey, Job
from studio.visitors import Visitor

FIELD = "form_key"  # hidden in the form; another in each page


def key_of_form(request) -> IdempotencyKey | None:
    """For a form with FIELD. A page that comes back from the browser's cache has its old key: what was asked
    belongs to the key, so that a changed form makes another job."""
    if not request.POST.get(FIELD):
        return None
    fields = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
    text = json.dumps([request.path, fields])
    return _key(request.visitor, f"form {hashlib.sha256(text.encode()).hexdigest()}")


def key_of_training(visitor: Visitor) -> IdempotencyKey:
    """One training follows another: two that follow the same one are one."""
    last = visitor.jobs().filter(kind=Job.Kind.TRAINING).order_by("-pk").values_list("pk", flat=True).first()
    return _key(visitor, f"training after {last}")


def _key(visitor: Visitor, key: str) -> IdempotencyKey:
    caller = visitor.caller
    return IdempotencyKey(owner=f"{caller.client.pk}/{caller.visitor}", key=key)
