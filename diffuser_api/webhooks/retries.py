"""When a message to a webhook is sent, and when it is sent again. Only rows: ``sender`` talks to receivers.

A message is claimed by one conditional UPDATE, for the time of a lease: if its sender dies, another process
claims it after that. A receiver that doesn't accept it is tried again after ever longer pauses. The
database's clock counts, as the clocks of machines differ.
"""

from __future__ import annotations

import logging
import random
from datetime import timedelta

from django.db.models import F, Q
from django.db.models.functions import Now

from diffuser_api.models import Webhook

log = logging.getLogger(__name__)
PAUSES = (5, 60, 300, 1800, 3600, 7200, 14400, 25200, 34200)  # seconds before each new try: a day in all
LONGEST_PAUSE = timedelta(seconds=1.1 * max(PAUSES))
LEASE = timedelta(seconds=60)  # of a try; if its sender dies, another one repeats it after that
GONE = 410  # the receiver's way of saying: never again


def next_due(busy_hosts: set[str], busy_clients: set[int | None]) -> Webhook | None:
    """Claim the message that has waited longest, except for busy receivers and clients; None without one."""
    # Later than any pause ends: it was written before the clock was set back.
    is_due = Q(next_try_at__lte=Now()) | Q(next_try_at__gt=Now() + LONGEST_PAUSE)
    due = Webhook.objects.filter(is_due, status=Webhook.Status.PENDING)
    due = due.exclude(host__in=busy_hosts).exclude(job__client__in=busy_clients - {None})
    if None in busy_clients:
        due = due.exclude(job__client=None)
    for webhook in due.select_related("job__client").order_by("next_try_at")[:20]:
        seen = Webhook.objects.filter(pk=webhook.pk, status=Webhook.Status.PENDING, attempts=webhook.attempts)
        if seen.filter(is_due).update(attempts=F("attempts") + 1, next_try_at=Now() + LEASE):
            webhook.attempts += 1
            return webhook
    return None


def settle(webhook: Webhook, status: int | None, result: str) -> None:
    """Write the result of a try: delivered, to be tried again later, or dead."""
    if status and 200 <= status < 300:
        changes = {"status": Webhook.Status.DELIVERED, "ended_at": Now()}
    elif status == GONE or webhook.attempts > len(PAUSES):
        changes = {"status": Webhook.Status.DEAD, "ended_at": Now()}
    else:
        pause = PAUSES[webhook.attempts - 1] * random.uniform(0.9, 1.1)  # not all at once after an outage
        changes = {"next_try_at": Now() + timedelta(seconds=pause)}
    mine = Webhook.objects.filter(pk=webhook.pk, status=Webhook.Status.PENDING, attempts=webhook.attempts)
    mine.update(last_result=result[:300], **changes)
    level = logging.INFO if changes.get("status") == Webhook.Status.DELIVERED else logging.WARNING
    state = changes.get("status") or f"again in {pause:.0f} s"
    message = f"job {webhook.job.code}: webhook {webhook.event}, try {webhook.attempts}: {result}, {state}"
    log.log(level, message)
