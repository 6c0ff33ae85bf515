"""The messages to a job's webhook_url: one for each change of its status, in the form of Standard Webhooks.

A message is a row, written in the same transaction as the change that it reports. It stays pending until its
receiver accepts it or a day has passed. ``sender`` sends it.
"""

from __future__ import annotations

import base64
import json
import logging
import random
from datetime import UTC, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db.models import F
from django.utils import timezone
from django.utils.crypto import salted_hmac
from standardwebhooks import Webhook as Signer

from diffuser_api.models import Client, Job, Webhook
from diffuser_api.webhooks import guarded_post

log = logging.getLogger(__name__)
PAUSES = (5, 60, 300, 1800, 3600, 7200, 14400, 25200, 34200)  # seconds before each new try: a day in all
LEASE = timedelta(seconds=60)  # of a try; if its sender dies, another one repeats it after that
GONE = 410  # the receiver's way of saying: never again


def key_of(client: Client | None) -> str:
    """The key that a receiver checks signatures with: derived from SECRET_KEY, never in the database."""
    owner = f"client {client.pk}" if client else "open"
    key = salted_hmac("diffuser_api.webhooks", owner, algorithm="sha256").digest()
    return "whsec_" + base64.b64encode(key).decode()


def announce(code: str) -> None:
    """Write the message that a job's status has changed; called by ``jobs.life`` in the same transaction."""
    job = Job.objects.filter(code=code).exclude(webhook_url="").first()
    if job is None:
        return
    error = {"code": job.error_code, "message": job.error_message} if job.error_code else None
    data = {"code": code, "kind": job.kind, "status": job.status, "attempt": job.attempt, "error": error}
    event, now = f"job.{job.status}", timezone.now()
    Webhook.objects.create(
        job=job,
        event=event,
        host=(urlsplit(job.webhook_url).hostname or "")[:255],
        body=json.dumps({"type": event, "timestamp": now.isoformat(), "data": data}),
        next_try_at=now,
    )


def next_due(busy_hosts: set[str], busy_clients: set[int | None]) -> Webhook | None:
    """Claim the message that has waited longest, except for busy receivers and clients; None without one."""
    now = timezone.now()
    due = Webhook.objects.filter(status=Webhook.Status.PENDING, next_try_at__lte=now)
    due = due.exclude(host__in=busy_hosts).exclude(job__client__in=busy_clients - {None})
    if None in busy_clients:
        due = due.exclude(job__client=None)
    for webhook in due.select_related("job__client").order_by("next_try_at")[:20]:
        seen = Webhook.objects.filter(pk=webhook.pk, status=Webhook.Status.PENDING, attempts=webhook.attempts)
        if seen.filter(next_try_at=webhook.next_try_at).update(
            attempts=F("attempts") + 1, next_try_at=now + LEASE
        ):
            webhook.attempts += 1
            return webhook
    return None


def send(webhook: Webhook) -> tuple[int | None, str]:
    """One try: the answer's status, or None, and a sentence about it. Uses no database."""
    message, now = f"msg_{webhook.pk.hex}", timezone.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Cartolina",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(key_of(webhook.job.client)).sign(
            message, now.astimezone(UTC), webhook.body
        ),
    }
    try:
        status = guarded_post.post(
            webhook.job.webhook_url,
            webhook.body.encode(),
            headers,
            settings.WEBHOOK_ALLOW_HTTP,
            settings.WEBHOOK_ALLOWED_NETWORKS,
        )
    except guarded_post.NotPosted as error:
        return None, str(error)
    return status, f"answered {status}" + ("; redirects are not followed" if 300 <= status < 400 else "")


def settle(webhook: Webhook, status: int | None, result: str) -> None:
    """Write the result of a try: delivered, to be tried again later, or dead."""
    now = timezone.now()
    if status and 200 <= status < 300:
        changes = {"status": Webhook.Status.DELIVERED, "ended_at": now}
    elif status == GONE or webhook.attempts > len(PAUSES):
        changes = {"status": Webhook.Status.DEAD, "ended_at": now}
    else:
        pause = PAUSES[webhook.attempts - 1] * random.uniform(0.9, 1.1)  # not all at once after an outage
        changes = {"next_try_at": now + timedelta(seconds=pause)}
    mine = Webhook.objects.filter(pk=webhook.pk, status=Webhook.Status.PENDING, attempts=webhook.attempts)
    mine.update(last_result=result[:300], **changes)
    level = logging.INFO if changes.get("status") == Webhook.Status.DELIVERED else logging.WARNING
    state = changes.get("status") or f"again in {pause:.0f} s"
    message = f"job {webhook.job.code}: webhook {webhook.event}, try {webhook.attempts}: {result}, {state}"
    log.log(level, message)


def send_again(webhooks) -> int:
    """Make these messages pending again, unless they are; how many were changed."""
    ended = webhooks.exclude(status=Webhook.Status.PENDING)
    return ended.update(status=Webhook.Status.PENDING, attempts=0, next_try_at=timezone.now(), ended_at=None)
