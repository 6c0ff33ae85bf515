"""Checks whether a delivered file is a LoRA, and whether a LoRA fits the models.

The file is read by safetensors' own parser, so that no code in it can run.
"""

from __future__ import annotations

import io
import re
from math import prod

import numpy as np
from safetensors import SafetensorError, deserialize

from diffuser_api.models import LoraModel
from generation.models import lora_fit
from generation.models.profiles import get_profile

KEY = re.compile(r"(lora_(?:unet|te)_\w{1,200})\.(lora_down\.weight|lora_up\.weight|alpha)")
DTYPES = {"F32": np.dtype("<f4"), "F16": np.dtype("<f2"), "BF16": np.dtype("<u2")}
MOST_TENSORS = 5000  # SD 1.5's UNet and text encoder have 792
HIGHEST_RANK = 256
LARGEST_SIDE = 20_480  # SD 1.5's widest layer has 10,240


class NotALora(Exception):
    """The text says what is wrong with the file."""


def check(content: bytes) -> None:
    """Raises NotALora unless ``content`` is a safetensors file in kohya's format, all layers are complete,
    all numbers are finite, and the model that paints faces has these layers in the same shapes."""
    try:
        tensors = dict(deserialize(content))
    except (SafetensorError, ValueError, TypeError) as error:
        raise NotALora(f"This is no safetensors file that can be read: {error}"[:300]) from error
    if not 0 < len(tensors) <= MOST_TENSORS:
        raise NotALora(f"The file holds {len(tensors)} tensors; a LoRA has 1 to {MOST_TENSORS}.")
    layers: dict[str, dict[str, list[int]]] = {}
    for key, tensor in tensors.items():
        matched = KEY.fullmatch(key)
        if not matched:
            raise NotALora(f"{key[:100]!r} is not a key of a LoRA in kohya's format.")
        _check_numbers(key, tensor)
        layers.setdefault(matched[1], {})[matched[2]] = tensor["shape"]
    for name, shapes in layers.items():
        _check_layer(name, shapes)
    try:
        lora_fit.check_layers(io.BytesIO(content), get_profile())
    except lora_fit.Misfit as misfit:
        raise NotALora(str(misfit)) from misfit


def misfit(lora: LoraModel) -> lora_fit.Misfit | None:
    """Why a stored LoRA can't be used with the current models; None if it can. The models may have changed
    since the LoRA was trained."""
    try:
        with lora.file.open("rb") as file:
            lora_fit.check(file, get_profile())
    except OSError:
        return lora_fit.Misfit("damaged", "The LoRA's file is gone: train it again.")
    except lora_fit.Misfit as found:
        return found
    return None


def _check_numbers(key: str, tensor: dict) -> None:
    if tensor["dtype"] not in DTYPES:
        raise NotALora(f"{key!r} is of type {tensor['dtype']}; a LoRA has {', '.join(DTYPES)}.")
    numbers = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]])
    if tensor["dtype"] == "BF16":  # the upper half of a float32
        numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
    if numbers.size != prod(tensor["shape"]) or not np.isfinite(numbers).all():
        raise NotALora(f"{key!r} holds numbers that are not finite.")


def _check_layer(name: str, shapes: dict[str, list[int]]) -> None:
    """``down`` has the shape rank x in and ``up`` out x rank. A convolution's shapes end with the kernel's
    sides."""
    down, up, alpha = (shapes.get(part) for part in ("lora_down.weight", "lora_up.weight", "alpha"))
    if down is None or up is None:
        raise NotALora(f"{name!r} lacks its lora_down.weight or its lora_up.weight.")
    if len(down) not in (2, 4) or len(up) != len(down) or down[0] != up[1]:
        raise NotALora(f"{name!r} has shapes {down} and {up}, which don't fit together.")
    if not 1 <= down[0] <= HIGHEST_RANK or not all(1 <= side <= LARGEST_SIDE for side in (*down, *up)):
        raise NotALora(f"{name!r} has shapes {down} and {up}; the rank is 1 to {HIGHEST_RANK}.")
    if alpha is not None and prod(alpha) != 1:
        raise NotALora(f"{name!r} has an alpha of shape {alpha}; it is one number.")
