"""Read places and actions from a zip file: ``manage.py import_catalogue FILE``."""

from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from diffuser_api.catalogue import transfer


class Command(BaseCommand):
    help = "Add and update places and actions from a zip file (see docs/catalogue.md). Nothing is deleted."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)

    def handle(self, *args, file, **options):
        try:
            with file.open("rb") as source:
                done = transfer.read(source)
        except (transfer.CatalogueRefused, OSError) as error:
            raise CommandError(f"{error} Nothing was imported.") from error
        if done.left_out:
            what = "Nothing was imported." if done.nothing else f"{done} The rest was left out."
            raise CommandError("\n".join([what, *done.left_out]))
        self.stdout.write(str(done))
