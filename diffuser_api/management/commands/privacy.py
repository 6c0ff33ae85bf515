"""``manage.py privacy CODE``: all that is kept of a face or picture, to answer the person who asks."""

from django.core.management.base import BaseCommand, CommandError

from diffuser_api.jobs import kept


class Command(BaseCommand):
    help = "Print all that is kept of the face or picture with this code."

    def add_arguments(self, parser):
        parser.add_argument("code")

    def handle(self, *args, code, **options):
        lines = kept.of(code)
        if not lines:
            raise CommandError(f"nothing is kept that has the code {code}")
        self.stdout.write("\n".join(lines))
