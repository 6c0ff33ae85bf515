"""Is a file that claims to be a LoRA one? Read with safetensors and numpy, so that nothing in it can run."""

from __future__ import annotations

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load

PREFIXES = ("lora_unet_", "lora_te_")
ENDINGS = (".lora_down.weight", ".lora_up.weight", ".alpha")


class NotALora(Exception):
    """The text says what is wrong with the file."""


def check(content: bytes) -> None:
    """Raises NotALora unless ``content`` is a safetensors file of kohya's LoRA keys with finite numbers."""
    try:
        tensors = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise NotALora(f"This is no safetensors file that can be read: {error}") from error
    if not tensors:
        raise NotALora("The file holds no tensors.")
    for key, tensor in tensors.items():
        if not key.startswith(PREFIXES) or not key.endswith(ENDINGS):
            raise NotALora(f"{key[:100]!r} is not a key of a LoRA in kohya's format.")
        if not np.isfinite(tensor.astype(np.float32)).all():
            raise NotALora(f"{key[:100]!r} holds numbers that are not finite.")
