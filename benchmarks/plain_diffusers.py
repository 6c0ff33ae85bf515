"""The same work as one plain script on diffusers does it: all models in one process, loaded once, no more.

What the benchmarks compare with. It knows the profile's models and settings, so that it paints what the steps
paint; it has no masks fitted, no record, no cancelling and nothing to go on from.
"""

from __future__ import annotations

import functools
from pathlib import Path

import torch
from diffusers import (
    ControlNetModel,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)
from PIL import Image

from benchmarks.harness.job_folders import read_inputs
from generation.models import hardware, hub
from generation.models.profiles import ModelProfile, ModelRef, get_profile
from generation.step_table import planned


def _options(model: ModelRef, dtype: torch.dtype, part: str = "unet") -> dict:
    where = hub.folder(model) / part
    halves = not list(where.glob("diffusion_pytorch_model.safetensors"))
    return {"dtype": dtype, "use_safetensors": True, "variant": "fp16" if halves else None}


@functools.cache
def load(name: str) -> dict:
    """The pipelines of profile ``name`` by step, on the device."""
    profile: ModelProfile = get_profile(name)
    machine = hardware.choose(profile.half_on_gpu)
    hardware.use_cores()
    bare = {"safety_checker": None, "requires_safety_checker": False}
    controlnet = ControlNetModel.from_pretrained(
        hub.folder(profile.controlnet_model), **_options(profile.controlnet_model, machine.dtype, ".")
    )
    pose = StableDiffusionControlNetInpaintPipeline.from_pretrained(
        hub.folder(profile.inpaint_model),
        controlnet=controlnet,
        **_options(profile.inpaint_model, machine.dtype),
        **bare,
    )
    detail = StableDiffusionInpaintPipeline.from_pretrained(
        hub.folder(profile.detail_model), **_options(profile.detail_model, machine.dtype), **bare
    )
    parts = {
        name: part for name, part in pose.components.items() if name not in ("controlnet", "image_encoder")
    }
    face = StableDiffusionInpaintPipeline(**parts, requires_safety_checker=False)
    parts = {name: part for name, part in detail.components.items() if name != "image_encoder"}
    harmonize = StableDiffusionImg2ImgPipeline(**parts, requires_safety_checker=False)
    made = {"pose": pose, "detail": detail, "harmonize": harmonize, "face": face}
    for pipeline in made.values():
        pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
        pipeline.set_progress_bar_config(disable=True)
        pipeline.to(machine.device)
    return made


def generate(job: Path, on_event) -> Path:
    """Paint the request in ``job``, telling each denoising step; the path of the picture."""
    inputs = read_inputs(job)
    profile, request, canvas = inputs.profile, inputs.request, inputs.canvas
    made, picture = load(profile.name), canvas.background
    words = ", ".join(filter(None, (request.action_description, request.other_details)))
    for index, name in enumerate(planned(with_lora=bool(request.lora)), start=1):
        pipeline = made[name]

        def told(pipeline, step, timestep, tensors, name=name, index=index):
            on_event({"event": "progress", "step": name, "index": index})
            return {}

        given = {
            "prompt": words,
            "negative_prompt": profile.style.negative,
            "image": picture,
            "generator": torch.Generator("cpu").manual_seed(request.seed + index),
            "callback_on_step_end": told,
        }
        if name != "harmonize":
            given |= {"width": picture.width, "height": picture.height, "mask_image": canvas.subject_mask}
        if name == "pose":
            given["control_image"] = canvas.skeleton
        if name == "face":
            pipeline.load_lora_weights(str(job), weight_name=request.lora)
            side = profile.face_resolution
            given |= {"mask_image": canvas.face_mask, "width": side, "height": side}
            given["padding_mask_crop"] = profile.face_padding
        for settings in profile.passes(name):
            given["image"] = painted = pipeline(**given, **settings.arguments).images[0].convert("RGB")
        mask = canvas.face_mask if name == "face" else canvas.subject_mask
        picture = painted if name == "harmonize" else Image.composite(painted, picture, mask)
        if name == "face":
            pipeline.unload_lora_weights()
    picture.save(job / "plain.png")
    return job / "plain.png"
