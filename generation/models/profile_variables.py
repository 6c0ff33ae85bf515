"""The environment variables that change a profile (see .env.example); ``profiles.get_profile`` applies them.

Each function here takes the profile and the variable's text, and returns the fields to change. It raises
ValueError with the end of a sentence that begins with the variable and its value.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from generation.step_table import STEPS

if TYPE_CHECKING:
    from generation.models.profiles import ModelProfile

MOST_CANDIDATES = 8
MOST_REPAINTS = 2
SAFETY_CHECKS = ("off", "present", "required")
MEMORY_PLANS = ("auto", "resident", "offload", "sequential")


def _model(field: str) -> Callable[[ModelProfile, str], dict]:
    """Replaces a model by a folder, or by OWNER/NAME@COMMIT of the Hub. The commit keeps it from changing."""

    def change(profile: ModelProfile, text: str) -> dict:
        # Not every profile has a safety model.
        replaced = getattr(profile, field) or dataclasses.replace(profile.training_model, kind="safety")
        name, _, revision = text.partition("@")
        if Path(text).is_absolute() or Path(text).is_dir():
            name, revision = text, None
        elif not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or not re.fullmatch(r"[0-9a-f]{40}", revision):
            raise ValueError(
                "is neither a folder that is there nor a model of the Hub with its commit, "
                "OWNER/NAME@<40 hexadecimal digits>"
            )
        return {field: dataclasses.replace(replaced, id=name, revision=revision, variant=None)}

    return change


def _training_steps(profile: ModelProfile, text: str) -> dict:
    return {"training": dataclasses.replace(profile.training, steps=_count(text))}


def _denoising_steps(profile: ModelProfile, text: str) -> dict:
    """Sets the denoising steps of each step. With a low strength, more may be needed for one to be done."""
    count, changed = _count(text), {}
    for name in STEPS:
        settings = getattr(profile, name)
        steps = max(count, math.ceil(1 / settings.strength))
        changed[name] = dataclasses.replace(settings, steps=steps)
    if profile.portrait:
        changed["portrait"] = dataclasses.replace(profile.portrait, steps=count)
    return changed


def _face_candidates(profile: ModelProfile, text: str) -> dict:
    if text not in map(str, range(1, MOST_CANDIDATES + 1)):
        raise ValueError(f"is not a whole number from 1 to {MOST_CANDIDATES}")
    return {"face_candidates": int(text)}


def _repaints(profile: ModelProfile, text: str) -> dict:
    if text not in map(str, range(MOST_REPAINTS + 1)):
        raise ValueError(f"is not a whole number from 0 to {MOST_REPAINTS}")
    return {"repaints": int(text)}


def _body_lora(profile: ModelProfile, text: str) -> dict:
    if not re.fullmatch(r"0|1|0?\.\d+|[01]\.0*", text):
        raise ValueError("is not a number from 0 to 1")
    return {"body_lora": float(text)}


def _safety_check(profile: ModelProfile, text: str) -> dict:
    if text not in SAFETY_CHECKS or (text == "required" and not profile.safety_model):
        raise ValueError(f"is not one of {', '.join(SAFETY_CHECKS)}, or SAFETY_MODEL isn't set")
    return {"safety_check": text}


def _memory_plan(profile: ModelProfile, text: str) -> dict:
    if text not in MEMORY_PLANS:
        raise ValueError(f"is not one of {', '.join(MEMORY_PLANS)}")
    return {"memory_plan": text}


def _full_size(profile: ModelProfile, text: str) -> dict:
    if text not in ("0", "1"):
        raise ValueError("is neither 0 nor 1")
    return {"full_size": text == "1"}


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ValueError("is not a whole number above 0")
    return int(text)


VARIABLES: dict[str, Callable[[ModelProfile, str], dict]] = {
    "INPAINT_MODEL": _model("inpaint_model"),
    "CONTROLNET_MODEL": _model("controlnet_model"),
    "DETAIL_MODEL": _model("detail_model"),
    "TRAINING_MODEL": _model("training_model"),
    "SAFETY_MODEL": _model("safety_model"),  # before SAFETY_CHECK, which may need it
    "TRAINING_STEPS": _training_steps,
    "DENOISING_STEPS": _denoising_steps,
    "BODY_LORA": _body_lora,
    "FACE_CANDIDATES": _face_candidates,
    "REPAINTS": _repaints,
    "FULL_SIZE": _full_size,
    "SAFETY_CHECK": _safety_check,
    "MEMORY_PLAN": _memory_plan,
}
