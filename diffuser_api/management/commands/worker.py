"""``manage.py worker``: runs the queued jobs, one at a time, and sweeps up behind itself and others."""

import logging
import signal
import sys
import time

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import Error, close_old_connections, connection

from diffuser_api.jobs import runner, wake_up, worker
from diffuser_api.operations import ending

log = logging.getLogger(__name__)
SECONDS_AFTER_ERROR = 5.0


class Worker:
    """Looks at the rows, runs the job whose turn it is, and waits when there is none."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self.is_stopping = self.is_idle = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT. A database that can't be used for a while is outlived."""
        while not self.is_stopping:
            close_old_connections()
            try:
                if not runner.run_next(settings.WORKER_STEPS, lambda: self.is_stopping):
                    self.pause(wake_up.wait, self.interval)
            except Error as error:
                log.warning("the database can't be used, the next try follows: %s", error)
                connection.close()
                self.pause(time.sleep, SECONDS_AFTER_ERROR)

    def pause(self, wait, seconds: float) -> None:
        """A signal ends it at once: nothing is claimed meanwhile."""
        self.is_idle = True
        if not self.is_stopping:
            wait(seconds)
        self.is_idle = False

    def stop(self, number, frame) -> None:
        """The running job goes back to the queue as far as it has come. A second signal waits for nothing."""
        log.warning("%s: the worker ends", signal.strsignal(number))
        if self.is_stopping or self.is_idle:
            sys.exit(int(self.is_stopping))
        self.is_stopping = True
        ending.end_within(worker.SECONDS_TO_LEAVE)


class Command(BaseCommand):
    help = "Work on the jobs in the queue until SIGTERM or SIGINT."

    def add_arguments(self, parser):
        parser.add_argument(
            "--interval", type=float, default=0.5, help="seconds between two looks at an empty queue"
        )

    def handle(self, *args, interval, **options):
        this = Worker(interval)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, this.stop)
        try:
            worker.begin(settings.WORKER_STEPS)
            this.run()
        finally:
            worker.leave()
