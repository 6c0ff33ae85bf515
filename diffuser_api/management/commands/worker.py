"""``manage.py worker``: takes jobs from the queue, one at a time, and sweeps up behind itself and others.

django-tasks-db's worker, with three things more: it begins with a sweep and sweeps on; it has the models
loaded before they are needed; and when asked to end it breaks off its job, which goes back to the queue as
far as it has come.
"""

import os
import threading

from django.core.management.base import BaseCommand
from django.db import DatabaseError
from django_tasks_db.management.commands import db_worker

from diffuser_api import lease, messages, processes, sweep
from generation import isolation

SECONDS_TO_LEAVE = 15.0  # after which the worker ends whatever it is at; the next sweep puts the rest right


class Worker(db_worker.Worker):
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
        sweep.sweep()
        threading.Thread(target=sweep.forever, daemon=True).start()
        worker.run()
