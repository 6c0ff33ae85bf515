"""``manage.py create_client NAME``: a front-end that may call the API, and its token, which is shown once."""

from django.core.management.base import BaseCommand, CommandError

from diffuser_api.access import tokens
from diffuser_api.models import NAME_LENGTH, Client


class Command(BaseCommand):
    help = "Make a client of the API and print its token, which can't be shown again."

    def add_arguments(self, parser):
        parser.add_argument("name")
        parser.add_argument(
            "--another-token",
            action="store_true",
            help="for a client that there is already; the others stay good",
        )

    def handle(self, *args, name, another_token, **options):
        if not 1 <= len(name) <= NAME_LENGTH:
            raise CommandError(f"a name has 1 to {NAME_LENGTH} characters")
        client = Client.objects.filter(name=name).first()
        if client and not another_token:
            raise CommandError(f'there is a client "{name}" already; --another-token gives it one more token')
        if another_token and not client:
            raise CommandError(f'there is no client "{name}"')
        client = client or Client.objects.create(name=name)
        self.stdout.write(tokens.issue_token(client))
