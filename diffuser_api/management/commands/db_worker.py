"""``manage.py db_worker``: the queue's worker, which begins to load models before the first job is there."""

from django_tasks_db.management.commands import db_worker

from generation import isolation


class Command(db_worker.Command):
    def handle(self, *args, **options):
        isolation.prepare()
        super().handle(*args, **options)
