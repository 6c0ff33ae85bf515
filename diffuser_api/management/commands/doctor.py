"""``manage.py doctor``: tries what an installer gets wrong, and says what to do."""

from django.core.management.base import BaseCommand, CommandError

from diffuser_api.operations import doctor


class Command(BaseCommand):
    help = "Tries what is easily set up wrong, and says what to do. Ends with 1 if something is wrong."
    requires_system_checks = []  # they are among the parts

    def handle(self, **options):
        wrong = 0
        for name, part in doctor.PARTS.items():
            found = part()
            wrong += len(found)
            self.stdout.write(f"{'wrong' if found else 'ok':6}{name}")
            for sentence in found:
                self.stdout.write(f"      {sentence}")
        if wrong:
            raise CommandError(f"{wrong} to mend.")
