"""Pictures painted during a training, with the LoRA as it is then, from prompts in kohya's notation."""

from __future__ import annotations

import random
import re
from pathlib import Path

import diffusers
import torch
from base_model import Model
from pictures import Picture
from samples import draw_hole, load_pixels

# kohya's letters for the arguments of diffusers' pipelines
ARGUMENTS = {
    "n": ("negative_prompt", str),
    "w": ("width", int),
    "h": ("height", int),
    "s": ("num_inference_steps", int),
    "l": ("guidance_scale", float),
    "d": ("seed", int),
}


def read_prompts(path: Path) -> list[dict]:
    """A pipeline's arguments for each line, such as ``face of sks person --n blurry --s 20 --d 1``."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [parse_prompt(line) for line in lines if line.strip() and not line.startswith("#")]


def parse_prompt(line: str) -> dict:
    text, *options = re.split(r"\s--([nwhsld])\s+", " " + line.strip())
    arguments = {"prompt": text.strip(), "num_inference_steps": 20, "guidance_scale": 7.5, "seed": 0}
    for letter, value in zip(options[::2], options[1::2], strict=True):
        name, kind = ARGUMENTS[letter]
        arguments[name] = kind(value)
    return arguments


@torch.no_grad()
def paint_samples(
    model: Model, prompts: list[dict], size: tuple[int, int], picture: Picture, folder: Path, name: str
) -> None:
    """One PNG per prompt, ``folder/<name>_<index>.png``, in ``size`` (width, height), or for an
    inpainting UNet, which fills a hole in ``picture``, in that picture's; the prompt may name another."""
    folder.mkdir(parents=True, exist_ok=True)
    pipeline = make_pipeline(model)
    inputs = {"width": size[0], "height": size[1]}
    if model.inpaints:
        inputs = {"width": picture.bucket[0], "height": picture.bucket[1]}
        inputs["image"] = load_pixels(picture)[None]
        inputs["mask_image"] = draw_hole(picture.bucket, random.Random(0))[None]
    vae_device = model.vae.device
    model.vae.to(model.device)
    for index, prompt in enumerate(prompts):
        arguments = inputs | prompt
        generator = torch.Generator().manual_seed(arguments.pop("seed"))
        with model.autocast():
            image = pipeline(**arguments, generator=generator).images[0]
        path = folder / f"{name}_{index:02d}.png"
        image.save(path.with_suffix(".part"), "PNG")
        path.with_suffix(".part").replace(path)  # it may be looked at while it is written
    model.vae.to(vae_device)


def make_pipeline(model: Model) -> diffusers.DiffusionPipeline:
    kind = diffusers.StableDiffusionInpaintPipeline if model.inpaints else diffusers.StableDiffusionPipeline
    pipeline = kind(
        vae=model.vae,
        text_encoder=model.text_encoder,
        tokenizer=model.tokenizer,
        unet=model.unet,
        scheduler=diffusers.DPMSolverMultistepScheduler.from_config(model.scheduler.config),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
