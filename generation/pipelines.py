"""From a profile to a ready diffusers pipeline, one for each of pose, detail, harmonize and face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from diffusers import (
    ControlNetModel,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    StableDiffusionControlNetInpaintPipeline,
    StableDiffusionImg2ImgPipeline,
    StableDiffusionInpaintPipeline,
)

from generation import hardware
from generation.profiles import ModelProfile, ModelRef

LORA_ADAPTER = "visitor"


class ModelMissing(RuntimeError):
    """A model is neither a local folder nor in the cache, and can't be downloaded."""


def _load(pipeline_class, model: ModelRef, dtype, **parts):
    """``from_pretrained`` from safetensors only; a pickle could run code."""
    if Path(model.id).is_absolute() and not Path(model.id).is_dir():
        raise ModelMissing(
            f"the model folder {model.id} does not exist; run `make setup`, or correct its setting"
        )
    try:
        return pipeline_class.from_pretrained(
            model.id, revision=model.revision, dtype=dtype, use_safetensors=True, **parts
        )
    except OSError as error:
        first_line = str(error).strip().splitlines()[0]
        raise ModelMissing(f"the model {model} could not be loaded: {first_line}") from error


def _ready(pipeline: DiffusionPipeline, machine: hardware.Hardware) -> DiffusionPipeline:
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.to(machine.device)
    if machine.xformers:
        pipeline.enable_xformers_memory_efficient_attention()
    return pipeline


# The safety checker judges finished pictures; inside a step it would black out a picture that is pasted back.
_NO_CHECKER = {"safety_checker": None, "requires_safety_checker": False}


def load_pose(profile: ModelProfile) -> StableDiffusionControlNetInpaintPipeline:
    machine = hardware.choose(profile.half_on_gpu)
    controlnet = _load(ControlNetModel, profile.controlnet_model, machine.dtype)
    pipeline = _load(
        StableDiffusionControlNetInpaintPipeline,
        profile.inpaint_model,
        machine.dtype,
        controlnet=controlnet,
        **_NO_CHECKER,
    )
    return _ready(pipeline, machine)


def load_detail(profile: ModelProfile) -> StableDiffusionInpaintPipeline:
    machine = hardware.choose(profile.half_on_gpu)
    return _ready(
        _load(StableDiffusionInpaintPipeline, profile.detail_model, machine.dtype, **_NO_CHECKER), machine
    )


def load_harmonize(profile: ModelProfile) -> StableDiffusionImg2ImgPipeline:
    machine = hardware.choose(profile.half_on_gpu)
    return _ready(
        _load(StableDiffusionImg2ImgPipeline, profile.detail_model, machine.dtype, **_NO_CHECKER), machine
    )


def load_face(profile: ModelProfile) -> StableDiffusionInpaintPipeline:
    """Without the LoRA, which belongs to one request; ``apply_lora`` adds it."""
    machine = hardware.choose(profile.half_on_gpu)
    return _ready(
        _load(StableDiffusionInpaintPipeline, profile.inpaint_model, machine.dtype, **_NO_CHECKER), machine
    )


def apply_lora(pipeline: StableDiffusionInpaintPipeline, path: Path, scale: float) -> None:
    """Put a LoRA's layers into the pipeline, in memory; ``scale`` 0 (no effect) to 1 (as trained)."""
    pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=LORA_ADAPTER)
    pipeline.set_adapters([LORA_ADAPTER], adapter_weights=[scale])


LOADERS: dict[str, Callable[[ModelProfile], DiffusionPipeline]] = {
    "pose": load_pose,
    "detail": load_detail,
    "harmonize": load_harmonize,
    "face": load_face,
}
