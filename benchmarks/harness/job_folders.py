"""Job folders for the generation tests: small drawn pictures and a request. No torch."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw

from generation import job_folder
from generation.miniature import demo_content
from generation.models.profiles import ModelProfile, get_profile
from generation.picture.canvas import Canvas, fit_canvas
from generation.processes import step_process
from generation.request import GenerationRequest


@functools.cache
def _shot() -> demo_content.DemoShot:
    return demo_content.make_shot("waving", "MES")


def make_job(
    folder: Path, *, lora: Path | None = None, size: tuple[int, int] = (256, 256), **changes
) -> Path:
    """Write a request and its pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    background = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(background).rectangle((10, 10, 90, 60), fill=(200, 60, 40))
    background.save(folder / "background.png")
    shot = _shot()
    shot.skeleton.save(folder / "skeleton.png")
    shot.subject_mask.save(folder / "subject-mask.png")
    shot.face_mask.save(folder / "face-mask.png")
    values = {
        "code": "12345678",
        "profile": "miniature",
        "seed": 7,
        "background": "background.png",
        "skeleton": "skeleton.png",
        "subject_mask": "subject-mask.png",
        "face_mask": "face-mask.png",
        "age": "adult",
        "gender": "woman",
        "action_description": "waving with one hand raised",
        "other_details": "a red coat",
        "place_description": "sunny street",
    }
    if lora:
        (folder / "lora.safetensors").write_bytes(lora.read_bytes())
        values |= {"lora": "lora.safetensors", "lora_code": "87654321"}
    GenerationRequest.from_dict(values | changes).save(folder)
    return folder


def same_pixels(a: Path, b: Path) -> bool:
    """Whether two picture files show the same, of the same size."""
    with Image.open(a) as first, Image.open(b) as second:
        return first.size == second.size and ImageChops.difference(first, second).getbbox() is None


@dataclass(frozen=True)
class Inputs:
    """What a job's folder holds for its steps."""

    job: Path
    request: GenerationRequest
    profile: ModelProfile
    canvas: Canvas

    def paint(
        self, name: str, index: int, picture: Image.Image, pipeline, on_step: Callable = lambda *_: {}
    ) -> Image.Image:
        """Step ``index``, ``name``, in this process; ``on_step`` is diffusers' callback."""
        painter = step_process.painter_of(name, index, self.request, self.profile, pipeline, on_step)
        return step_process.paint(name, picture, self.canvas, self.request, painter)


def read_inputs(job: Path) -> Inputs:
    """Raises InvalidRequest when a file of the folder can't be used."""
    request = GenerationRequest.load(job)
    profile = get_profile(request.profile)
    canvas = fit_canvas(**job_folder.read_pictures(job, request), pixel_budget=profile.pixel_budget)
    return Inputs(job, request, profile, canvas)
