"""Whether a finished picture may be shown: Stable Diffusion's safety checker, if its weights are installed.

Only the finished picture is judged. Inside a pipeline, the checker replaces a refused picture by black, and
the step would put the black into the place. Here, a refusal makes the job fail with a reason. Imports torch
only when a picture is judged.
"""

from __future__ import annotations

from PIL import Image

from generation.models import hub
from generation.models.profiles import ModelProfile

REFUSED = 3  # exit status of a step's process whose picture was refused
TEXT = (
    "The safety check took the finished picture for one that should not be shown. "
    "Ask again with another seed or other words."
)


class PictureRefused(RuntimeError):
    """The safety checker refused the finished picture. It is stored nowhere."""


def check(picture: Image.Image, profile: ModelProfile) -> None:
    """Raises PictureRefused, or ModelMissing if the check is required and the model is missing."""
    model = profile.safety_model
    if model is None or profile.safety_check == "off":
        return
    folder = hub.folder(model)
    if folder is None and profile.safety_check == "present":
        return
    from generation.models import hardware, pipelines

    if folder is None:
        raise pipelines.ModelMissing(hub.problem(model))
    import numpy as np
    import torch

    machine = hardware.choose(profile.half_on_gpu)
    checker, extractor = pipelines.load_safety_checker(folder, machine)
    pixels = extractor(picture, return_tensors="pt").pixel_values.to(machine.device, machine.dtype)
    with torch.inference_mode():
        _, refused = checker(images=[np.zeros((1, 1, 3))], clip_input=pixels)
    if refused[0]:
        raise PictureRefused(TEXT)
