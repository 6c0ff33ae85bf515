"""The messages to a job's webhook_url: one for each change of its status, in the form of Standard Webhooks.

A message is a row, written in the same transaction as the change that it reports. It stays pending until its
receiver accepts it or a day has passed. ``sender`` sends it, and ``retries`` says when.
"""

from __future__ import annotations

import base64
import json
from urllib.parse import urlsplit

from django.db.models.functions import Now
from django.utils import timezone
from django.utils.crypto import salted_hmac

from diffuser_api.models import Client, Job, Webhook


def key_of(client: Client | None) -> str:
    """The key that a receiver checks signatures with: derived from SECRET_KEY, never in the database."""
    owner = f"client {client.pk}" if client else "open"
    key = salted_hmac("diffuser_api.webhooks", owner, algorithm="sha256").digest()
    return "whsec_" + base64.b64encode(key).decode()


def announce(code: str) -> None:
    """Write the message that a job's status has changed, in the transaction of ``jobs.status_changes``."""
    job = Job.objects.filter(code=code).exclude(webhook_url="").first()
    if job is None:
        return
    error = {"code": job.error_code, "message": job.error_message} if job.error_code else None
    data = {"code": code, "kind": job.kind, "status": job.status, "attempt": job.attempt, "error": error}
    event = f"job.{job.status}"
    Webhook.objects.create(
        job=job,
        event=event,
        host=(urlsplit(job.webhook_url).hostname or "")[:255],
        body=json.dumps({"type": event, "timestamp": timezone.now().isoformat(), "data": data}),
        next_try_at=Now(),
    )


def send_again(webhooks) -> int:
    """Make these messages pending again, unless they are; how many were changed."""
    ended = webhooks.exclude(status=Webhook.Status.PENDING)
    return ended.update(status=Webhook.Status.PENDING, attempts=0, next_try_at=Now(), ended_at=None)
