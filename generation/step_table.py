"""The table of a picture's steps: names, order, pipelines and models. Imports the standard library only.

All other modules take the steps' names and order from this table. ``steps`` has a function of the same name
for each step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """One kind of step. ``model`` is the field of ModelProfile that names the step's model."""

    name: str  # of the function in ``steps``, the settings in ModelProfile and the picture's file
    pipeline: str  # the class in diffusers
    model: str
    controlnet: bool = False  # whether the profile's ControlNet steers it
    times: int = 1  # in a row
    needs_lora: bool = False  # whether it is left out of a picture without a visitor's face


_TABLE = (
    Step("pose", "StableDiffusionControlNetInpaintPipeline", "inpaint_model", controlnet=True),
    Step("detail", "StableDiffusionInpaintPipeline", "detail_model", times=2),
    Step("harmonize", "StableDiffusionImg2ImgPipeline", "detail_model"),
    Step("face", "StableDiffusionInpaintPipeline", "inpaint_model", needs_lora=True),
)
STEPS = {step.name: step for step in _TABLE}
ORDER = tuple(step.name for step in _TABLE for _ in range(step.times))
TRAIN = "train"  # the one step of a training, which is no step of a picture


def planned(with_lora: bool) -> list[str]:
    """The names of a picture's steps in order; step ``index`` (from 1) is the one at ``index - 1``."""
    return [name for name in ORDER if with_lora or not STEPS[name].needs_lora]
