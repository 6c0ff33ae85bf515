"""System checks: ``manage.py check``, and every start, warn of faults before a job fails of them."""

from django.conf import settings
from django.core.checks import Error, Info, Tags, Warning, register
from django.utils.translation import gettext

from diffuser_api import storage
from diffuser_api.marking import keys
from diffuser_api.operations import delivery, installation
from generation.models import hub
from generation.models.profiles import get_profile


def missing_models() -> list[str]:
    """A sentence with advice for each of the profile's models that is missing."""
    return [problem for model in hub.needed(get_profile()) if (problem := hub.problem(model))]


class ModelsMissing(Exception):
    """No job can be done before the operator has fetched the models."""

    def __init__(self):
        super().__init__(
            gettext(
                "The server's models are not all there: its operator has to run `manage.py models`, which "
                "says what to do. After that, send this again."
            )
        )


def check_models() -> None:
    """Before a job is made. Raises ModelsMissing."""
    if missing_models():
        raise ModelsMissing


@register()
def models_are_there(app_configs, **kwargs):
    return [Warning(sentence, id="cartolina.W001") for sentence in missing_models()]


@register()
def names_are_settings(app_configs, **kwargs):
    return [Warning(sentence, id="cartolina.W007") for sentence in settings.MISTAKEN_NAMES]


@register()
def files_have_their_database(app_configs, **kwargs):
    try:
        owner = installation.other_owner()
    except storage.Away as error:
        return [Warning(f"The storage of files can't be used: {error}.", id="cartolina.W008")]
    if not owner:
        return []
    place = "STORAGE_URL" if settings.BUCKET else "DATA_DIR"
    hint = f"Set another {place}, or, if the rows were moved, delete the file {installation.CLAIM} in it."
    text = f"The files in {place} belong to the database {owner}; no file without a row is removed there."
    return [Warning(text, hint=hint, id="cartolina.W004")]


@register()
def machines_have_the_same_keys(app_configs, **kwargs):
    """With STORAGE_URL, each machine has a DATA_DIR of its own, and what it makes in it is its own too."""
    if not settings.BUCKET:
        return []
    found = []
    if settings.OWN_SECRET_KEY:
        text = (
            "This machine has made a SECRET_KEY of its own: others don't know its sessions and signed URLs."
        )
        found.append(Warning(text, hint="Set the same SECRET_KEY on all machines.", id="cartolina.W009"))
    if not settings.C2PA_CERTIFICATE:
        text = "This machine signs pictures with a certificate of its own, which others don't know."
        hint = "Set C2PA_CERTIFICATE and C2PA_KEY to copies of the same two files on all machines."
        found.append(Info(text, hint=hint, id="cartolina.I003"))
    return found


@register()
def pictures_can_be_signed(app_configs, **kwargs):
    return [Error(problem, id="cartolina.E001")] if (problem := keys.problem()) else []


@register(Tags.security, deploy=True)
def signer_is_known(app_configs, **kwargs):
    return [Info(notice, id="cartolina.I002")] if (notice := keys.notice()) else []


@register(Tags.security, deploy=True)
def strangers_are_told_apart(app_configs, **kwargs):
    found = []
    if settings.OPEN_API:
        hint = "Set OPEN_API=false and give each front-end a token: `manage.py create_client NAME`."
        found.append(Warning("OPEN_API takes requests without a token.", hint=hint, id="cartolina.W002"))
    if settings.HTTPS and not settings.NUM_PROXIES:
        hint = "Set NUM_PROXIES to the number of proxies that add to X-Forwarded-For, 1 as a rule."
        found.append(
            Warning("Behind the proxy, all visitors count as one address.", hint=hint, id="cartolina.W003")
        )
    return found


@register(Tags.security, deploy=True)
def trainings_can_be_delivered(app_configs, **kwargs):
    """Never an error, and less than a warning if nobody answers: this may run before the web server does."""
    try:
        problem = delivery.check()
    except delivery.NotUp as error:
        return [Info(str(error), id="cartolina.I001")]
    return [Warning(problem, id="cartolina.W005")] if problem else []
