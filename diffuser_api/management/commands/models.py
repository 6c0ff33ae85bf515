"""``manage.py models``: which models the profile needs and where they are; fetches and verifies them.

Names the LoRAs that don't fit them.
"""

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from diffuser_api.jobs import lora_file
from diffuser_api.models import LoraModel
from generation.models import hub
from generation.models.profiles import get_profile


class Command(BaseCommand):
    help = "Lists the models that MODEL_PROFILE needs. HF_HOME says where fetched ones are kept."
    requires_system_checks = []

    def add_arguments(self, parser):
        parser.add_argument("--fetch", action="store_true", help="download what is missing")
        parser.add_argument("--verify", action="store_true", help="compare what was fetched with its hashes")

    def handle(self, *, fetch: bool, verify: bool, **options):
        profile = get_profile()
        needed = hub.needed(profile)
        for model in needed if fetch else ():
            self._fetch(model)
        self.stdout.write(f"MODEL_PROFILE={profile.name}")
        wrong = []
        for model, use in needed.items():
            self.stdout.write(f"\n{model.id}\n  for {use}; licence: {hub.licence(model)}")
            version = "a local folder" if model.is_local else f"commit {model.revision}"
            self.stdout.write(f"  {version}; {hub.megabytes(model):.0f} MiB are there")
            wrong += filter(None, [hub.problem(model)])
            for path in hub.damaged(model) if verify else ():
                wrong.append(f"{model.id}: {path} is damaged: delete it and run `{hub.FETCH}`.")
        if wrong:
            raise CommandError("\n".join(wrong))
        self._list_misfits()
        self.stdout.write("\nAll is there." + (" What was fetched has its hashes." if verify else ""))

    def _list_misfits(self) -> None:
        """The LoRAs that can't be used with these models, if there is a database."""
        try:
            loras = LoraModel.objects.all()
            found = [(lora.code, misfit) for lora in loras if (misfit := lora_file.misfit(lora))]
        except DatabaseError:
            return
        if found:
            self.stdout.write(f"\n{len(found)} LoRAs can't be used with these models:")
        for code, misfit in found:
            self.stdout.write(f"  {code}: {misfit}")

    def _fetch(self, model) -> None:
        if hub.folder(model):
            return
        self.stdout.write(f"fetching {model} ...")
        try:
            hub.fetch(model)
        except hub.ModelError as error:
            raise CommandError(str(error)) from error
