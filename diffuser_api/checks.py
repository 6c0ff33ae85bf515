"""System checks: what would only be noticed when a job fails is said by ``manage.py check`` and at start."""

from pathlib import Path

from django.conf import settings
from django.core.checks import Tags, Warning, register

from generation.profiles import get_profile


def missing_model_folders() -> list[str]:
    """Those of the profile that are named by a path; what has an id comes from the Hub."""
    profile = get_profile()
    models = (profile.inpaint_model, profile.controlnet_model, profile.detail_model, profile.training_model)
    paths = dict.fromkeys(model.id for model in models if Path(model.id).is_absolute())
    return [path for path in paths if not Path(path).is_dir()]


@register()
def model_folders_exist(app_configs, **kwargs):
    return [
        Warning(
            f"The model folder {path} does not exist.",
            hint="Run `make setup`, which completes the embedded models, or correct the setting.",
            id="cartolina.W001",
        )
        for path in missing_model_folders()
    ]


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
