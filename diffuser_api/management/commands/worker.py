"""``manage.py worker``: takes jobs from the queue, one at a time, and sweeps up behind itself and others.

django-tasks-db's worker, with four things more: it begins with a sweep and sweeps on; it has the models
loaded before they are needed; when asked to end it breaks off its job, which goes back to the queue as far
as it has come; and it outlives a database that can't be used for a while.
"""

import logging
import os
import threading
import time

from django.core.management.base import BaseCommand
from django.db import DatabaseError, Error, connection
from django_tasks_db.management.commands import db_worker

from diffuser_api.jobs import lease, messages, processes, sweep
from generation.processes import isolation

log = logging.getLogger(__name__)
SECONDS_AFTER_ERROR = 5.0
SECONDS_TO_LEAVE = 15.0  # after which the worker ends whatever it is at; the next sweep puts the rest right


class Worker(db_worker.Worker):
    def run(self):
        while self.running:
            try:
                return super().run()
            except Error as error:
                log.warning("the database can't be used, the next try follows: %s", error)
                connection.close()
                time.sleep(SECONDS_AFTER_ERROR)

    def run_task(self, db_task_result):
        try:
            super().run_task(db_task_result)
        except DatabaseError:  # its result can't be written: the job was deleted, and its message with it
            if messages.is_there(db_task_result):
                raise

    def shutdown(self, signum, frame):
        last_resort = threading.Timer(SECONDS_TO_LEAVE, os._exit, [1])
        last_resort.daemon = True
        last_resort.start()
        lease.stop()
        super().shutdown(signum, frame)


class Command(BaseCommand):
    help = "Work on the jobs in the queue until SIGTERM or SIGINT."

    def add_arguments(self, parser):
        parser.add_argument(
            "--interval", type=float, default=0.5, help="seconds between two looks at an empty queue"
        )

    def handle(self, *args, interval, **options):
        os.environ.update(processes.mark())  # for all that is started here
        worker = Worker(
            queue_names=["default"],
            excluded_queue_names=[],
            backend_name="default",
            worker_id=processes.name(),
            interval=interval,
            startup_delay=False,
            batch=False,
            max_tasks=None,
        )
        worker.configure_signals()
        isolation.prepare()  # models are loaded before the first job is there
        sweep.attempt()
        threading.Thread(target=sweep.forever, daemon=True).start()
        worker.run()
