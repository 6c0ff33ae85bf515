"""``manage.py send_webhooks``: the process that tells receivers of their jobs, until SIGTERM or Ctrl-C."""

import signal
import threading

from django.core.management.base import BaseCommand

from diffuser_api.webhooks.sender import Sender


class Command(BaseCommand):
    help = "Send webhooks that are due, until stopped. It can run more than once."

    def handle(self, *args, **options):
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        Sender().run(stop)
