"""``manage.py retention``: delete expired pictures and LoRAs, and list them. Workers do so as well."""

from django.core.management.base import BaseCommand

from diffuser_api.jobs import deletion


class Command(BaseCommand):
    help = "Delete photos of ended trainings, and pictures and LoRAs that are older than the settings say."

    def handle(self, *args, **options):
        for what, codes in deletion.delete_expired().items():
            self.stdout.write(f"{what}: {len(codes)} deleted{': ' if codes else ''}{', '.join(codes)}")
