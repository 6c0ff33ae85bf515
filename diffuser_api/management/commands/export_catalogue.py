"""Write places and actions to a zip file: ``manage.py export_catalogue FILE``."""

import os
from pathlib import Path

from django.core.management.base import BaseCommand

from diffuser_api.catalogue import transfer


class Command(BaseCommand):
    help = "Write all places and actions with their pictures to a zip file (see docs/catalogue.md)."

    def add_arguments(self, parser):
        parser.add_argument("file", type=Path)

    def handle(self, *args, file, **options):
        aside = file.with_name(f"{file.name}.part")
        try:
            with aside.open("wb") as target:
                done = transfer.write(target)
            os.replace(aside, file)
        finally:
            aside.unlink(missing_ok=True)
        self.stdout.write(f"{file}: {done.pictures} pictures")
        for sentence in done.missing:
            self.stderr.write(f"Not in it: {sentence}")
