"""A step's pipeline, together with all that its calls have in common."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image

from generation.models.profiles import ModelProfile, StepSettings
from generation.prompts import Prompt

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline


@dataclass(frozen=True)
class Painter:
    """Paints in one step of one request. The visitor's LoRA is loaded, where the step has one.

    ``generator`` makes the step's noise. ``on_step`` is diffusers' ``callback_on_step_end``.
    """

    pipeline: DiffusionPipeline
    prompt: Prompt
    profile: ModelProfile
    generator: torch.Generator
    on_step: Callable

    def paint(self, settings: StepSettings, **arguments) -> list[Image.Image]:
        """Call the pipeline. ``arguments`` are diffusers' own, and may replace the painter's. RGB."""
        common = {
            "prompt": self.prompt.text,
            "negative_prompt": self.profile.style.negative,
            "generator": self.generator,
            "callback_on_step_end": self.on_step,
        }
        painted = self.pipeline(**common | settings.arguments | arguments)
        return [picture.convert("RGB") for picture in painted.images]

    def after(self, done: int) -> Painter:
        """The painter of a second call: it counts its denoising steps on from those that are ``done``."""

        def later(pipeline: DiffusionPipeline, number: int, timestep, tensors: dict) -> dict:
            return self.on_step(pipeline, done + number, timestep, tensors)

        return dataclasses.replace(self, on_step=later)
