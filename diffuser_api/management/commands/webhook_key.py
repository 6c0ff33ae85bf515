"""``manage.py webhook_key [NAME]``: the key for the signatures of a client's webhooks."""

from django.core.management.base import BaseCommand, CommandError

from diffuser_api.models import Client
from diffuser_api.webhooks import outbox


class Command(BaseCommand):
    help = "Print the key of a client's webhooks; with no name, that of jobs made without a token."

    def add_arguments(self, parser):
        parser.add_argument("name", nargs="?")

    def handle(self, *args, name, **options):
        client = Client.objects.filter(name=name).first() if name else None
        if name and not client:
            raise CommandError(f'there is no client "{name}"')
        self.stdout.write(outbox.key_of(client))
