"""The record of how a picture was made: the public part is in its PNG file, the whole in the job's row.

People share their pictures. So the file doesn't say what the visitor asked for and whose face it is.
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
    """All of step ``index``, enough to paint it again; for the job's row."""
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
    if name == "face":
        record["lora_code"] = request.lora_code
        record["candidates"] = profile.face_candidates if request.faces else 1
    record["versions"] = {package: version(package) for package in ("torch", "diffusers")}
    return record


def public(step: dict) -> dict:
    """What the picture's file says of a step."""
    return {name: step[name] for name in PUBLIC}
