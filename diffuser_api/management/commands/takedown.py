"""``manage.py takedown CODE``: a picture that must not be seen any longer is gone, wherever it is shown."""

from django.core.management.base import BaseCommand, CommandError

from diffuser_api import audit
from diffuser_api.jobs import deletion
from diffuser_api.models import Job


class Command(BaseCommand):
    help = "Delete the picture with this code: its file, its row, its share page and its working files."
    requires_system_checks = []  # it is urgent, and loads no page for the checks

    def add_arguments(self, parser):
        parser.add_argument("code")

    def handle(self, *args, code, **options):
        job = Job.objects.filter(code=code).first()
        if job and job.kind != Job.Kind.GENERATION:
            raise CommandError(f"{code} is a face. Its owner erases it, or staff delete it in the admin.")
        if not job or not deletion.take_down(code, audit.OPERATOR):
            raise CommandError(f"there is no picture with the code {code}")
        self.stdout.write(f"{code} was taken down. Copies that people have saved are out of reach.")
