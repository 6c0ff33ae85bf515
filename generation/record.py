"""The record of how a picture was made. The job's row holds all of it, the PNG file only the public part.

People share their pictures. So the file holds neither the visitor's words nor the code of the LoRA.
"""

from __future__ import annotations

from importlib.metadata import version

from generation.models.profiles import ModelProfile
from generation.prompts import Prompt
from generation.request import GenerationRequest
from generation.seeds import step_seed

PUBLIC = ("step", "index", "seed", "models", "versions")  # of a step


def new_record(request: GenerationRequest) -> dict:
    """The public record of a picture before its first step."""
    return {"seed": request.seed, "steps": []}


def step_record(
    name: str, index: int, request: GenerationRequest, profile: ModelProfile, prompt: Prompt
) -> dict:
    """The whole record of step ``index``, for the job's row. It is enough to paint the step again."""
    record = {
        "step": name,
        "index": index,
        "seed": step_seed(request.seed, index),
        "prompt": prompt.text,
        "negative_prompt": profile.style.negative,
        "models": [str(model) for model in profile.models_of(name)],
    }
    if prompt.left_out:
        record["left_out"] = prompt.left_out
    if request.lora and profile.lora_scale(name, request.lora_scale) or name == "face":
        record["lora_code"] = request.lora_code
    if name == "face":
        record["candidates"] = profile.face_candidates if request.faces else 1
    record["versions"] = {package: version(package) for package in ("torch", "diffusers")}
    return record


def public(step: dict) -> dict:
    """The part of a step's record that the picture's file holds."""
    return {name: step[name] for name in PUBLIC}
