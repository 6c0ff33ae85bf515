"""The record of how a picture was made, which is kept in its PNG file and in the job's row."""

from __future__ import annotations

from importlib.metadata import version

from generation.models.profiles import ModelProfile
from generation.prompts import Prompt
from generation.request import GenerationRequest
from generation.seeds import step_seed


def new_record(request: GenerationRequest) -> dict:
    """The record of a picture before its first step."""
    return {"code": request.code, "seed": request.seed, "steps": []}


def step_record(
    name: str, index: int, request: GenerationRequest, profile: ModelProfile, prompt: Prompt
) -> dict:
    """What a picture's record says of step ``index``: enough to paint it again."""
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
