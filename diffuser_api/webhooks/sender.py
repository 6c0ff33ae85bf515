"""Sends the webhooks that are due, many at a time, so that a slow or dead receiver delays nobody else's.

The threads only talk to receivers; the thread that calls ``step`` alone uses the database. Each receiver and
each client gets a share of the threads, so that neither a dead host nor a busy client takes them all.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC

from django.conf import settings
from django.db import Error, close_old_connections
from django.utils import timezone
from standardwebhooks import Webhook as Signer

from diffuser_api.models import Webhook
from diffuser_api.webhooks import guarded_post, outbox, retries

log = logging.getLogger(__name__)
THREADS = 16
THREADS_OF_A_CLIENT = 6
THREADS_OF_A_HOST = 2
SECONDS_BETWEEN_LOOKS = 1.0


def send(webhook: Webhook) -> tuple[int | None, str]:
    """One try: the answer's status, or None, and a sentence about it. Uses no database."""
    message, now = f"msg_{webhook.pk.hex}", timezone.now()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Cartolina",
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(outbox.key_of(webhook.job.client)).sign(
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


class Sender:
    def __init__(self):
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="webhook")
        self.running: dict[Future, Webhook] = {}

    def run(self, stop: threading.Event) -> None:
        """Send until ``stop`` is set; tries that have begun are then finished and written."""
        while not stop.is_set():
            close_old_connections()
            try:
                busy = self.step()
            except Error as error:  # a message whose result wasn't written is sent again after its lease
                log.warning("the database can't be used, the next try follows: %s", error)
                busy = False
            if not busy:
                stop.wait(SECONDS_BETWEEN_LOOKS)
        self.finish()

    def step(self) -> bool:
        """Write the results that have come, start the messages that are due; False if there was neither."""
        done = [future for future in self.running if future.done()]
        for future in done:
            retries.settle(self.running.pop(future), *future.result())
        began = 0
        while len(self.running) < THREADS and (webhook := retries.next_due(*self._busy())):
            self.running[self.pool.submit(send, webhook)] = webhook
            began += 1
        if self.running and not began:
            wait(self.running, timeout=SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED)
        return bool(self.running or done)

    def _busy(self) -> tuple[set[str], set[int | None]]:
        hosts = Counter(webhook.host for webhook in self.running.values())
        clients = Counter(webhook.job.client_id for webhook in self.running.values())
        return (
            {host for host, count in hosts.items() if count >= THREADS_OF_A_HOST},
            {client for client, count in clients.items() if count >= THREADS_OF_A_CLIENT},
        )

    def finish(self) -> None:
        self.pool.shutdown()
        for future, webhook in self.running.items():
            retries.settle(webhook, *future.result())
        self.running.clear()
