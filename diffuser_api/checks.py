"""System checks: what would only be noticed when a job fails is said by ``manage.py check`` and at start."""

from pathlib import Path

from django.core.checks import Warning, register

from generation.profiles import get_profile


@register()
def model_folders_exist(app_configs, **kwargs):
    profile = get_profile()
    models = (profile.inpaint_model, profile.controlnet_model, profile.detail_model, profile.training_model)
    return [
        Warning(
            f"The model folder {model.id} does not exist.",
            hint="Run `make setup`, which completes the embedded models, or correct the setting.",
            id="cartolina.W001",
        )
        for model in dict.fromkeys(models)
        if Path(model.id).is_absolute() and not Path(model.id).is_dir()
    ]
