"""Whether a LoRA fits a profile. Its layers must be those of the model that paints faces, and its base model
must be the one that trainings use today.

Only the headers of safetensors files are read. A base model is identified by the hash of its UNet. Imports no
torch.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from pathlib import Path
from typing import IO

from generation.models import hub
from generation.models.profiles import ModelProfile, ModelRef

UNET = "unet/diffusion_pytorch_model.safetensors"  # the file whose hash is a base model's identity
BASE_HASH = "ss_new_sd_model_hash"  # kohya's key for the SHA-256 of the base
LARGEST_HEADER = 16 * 2**20  # bytes
MISFITS = ("damaged", "unknown_layers", "other_shapes", "other_base")
PARTS = {"unet": "lora_unet_", "text_encoder": "lora_te_text_model_"}  # kohya's prefixes of a layer's name
Shapes = dict[str, list[int]]


class Misfit(Exception):
    """A LoRA that doesn't fit. ``code`` is one of MISFITS. The text is for the client."""

    def __init__(self, code: str, message: str):
        super().__init__(message)
        self.code = code


def layer_name(part: str, module: str) -> str:
    """kohya's name of a module. It has the level ``text_model``, which newer transformers have no more."""
    return PARTS[part] + module.removeprefix("text_model.").replace(".", "_")


def read_header(file: IO[bytes]) -> tuple[Shapes, dict[str, str]]:
    """The tensors' shapes and the metadata. Raises ValueError if the file is no safetensors file."""
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= LARGEST_HEADER:
        raise ValueError("no safetensors file")
    header = json.loads(file.read(length))
    metadata = {name: str(value) for name, value in header.pop("__metadata__", {}).items()}
    return {name: [int(side) for side in tensor["shape"]] for name, tensor in header.items()}, metadata


def check(file: IO[bytes], profile: ModelProfile) -> None:
    """Check the layers and the base of a LoRA before it is used. Raises Misfit."""
    check_layers(file, profile)
    file.seek(0)
    trained_on = read_header(file)[1].get(BASE_HASH, "")
    if not re.fullmatch("[0-9a-f]{64}", trained_on):
        return  # the LoRA is from a time or a trainer that wrote no hash
    today = base_hash(profile.training_model)
    if today and trained_on != today:
        raise Misfit(
            "other_base",
            f"This LoRA was trained on another base model (SHA-256 {trained_on[:10]}...) than the server has "
            f"today ({today[:10]}...): train it again.",
        )


def check_layers(file: IO[bytes], profile: ModelProfile) -> None:
    """Check that the model that paints faces has the LoRA's layers, in the same shapes. Raises Misfit."""
    try:
        shapes, _ = read_header(file)
    except (ValueError, OSError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Misfit("damaged", "The LoRA's file can't be read: train it again.") from error
    base = layers_of(profile.inpaint_model)
    if not base:
        return  # the models are missing, which ``operations.checks`` reports
    suffix = ".lora_down.weight"
    names = sorted(name.removesuffix(suffix) for name in shapes if name.endswith(suffix))
    unknown = [name for name in names if name not in base]
    if unknown or not names:
        raise Misfit(
            "unknown_layers",
            f"The server's model has no layer for {len(unknown)} of the LoRA's {len(names)}"
            + (f", {unknown[0][:100]} among them" if unknown else "")
            + ": it was trained on a model of another kind.",
        )
    for name in names:
        down, up, weight = shapes[name + suffix], shapes.get(f"{name}.lora_up.weight"), base[name]
        rank = down[0] if down else 0
        if (down, up) != ([rank, *weight[1:]], [weight[0], rank, *[1] * len(weight[2:])]):
            raise Misfit(
                "other_shapes",
                f"The LoRA's layer {name[:100]} has the shapes {down} and {up}, which don't fit the server's "
                f"model, {weight}: it was trained on another model.",
            )


def layers_of(model: ModelRef) -> Shapes:
    """kohya's names of all layers that a LoRA can change, with the shapes of their weights. Empty if the
    model is missing."""
    folder, found = hub.folder(model), {}
    for part in PARTS if folder else ():
        for path in sorted((folder / part).glob("*.safetensors")):
            inside = ".layers." if part == "text_encoder" else ""
            for name, shape in _weights(path, _stamp(path)).items():
                if not name.endswith(".weight") or len(shape) not in (2, 4) or inside not in name:
                    continue  # a bias, a norm, the table of the tokens' vectors
                if not name.startswith("add_embedding."):  # diffusers loads no LoRA there
                    found[layer_name(part, name.removesuffix(".weight"))] = shape
    return found


def base_hash(model: ModelRef) -> str | None:
    """The SHA-256 of the model's UNet; None if the file is missing. In the Hub's cache, the file's name is
    its hash. For another file, each process computes the hash once, and again when the file has changed."""
    path = (hub.folder(model) or Path("missing")) / UNET
    if not path.is_file():
        return None
    target = path.resolve()
    if not model.is_local and re.fullmatch("[0-9a-f]{64}", target.name):
        return target.name
    return _sha256(path, _stamp(path))


def _stamp(path: Path) -> tuple[int, ...]:
    """Changes with the file."""
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@functools.lru_cache(maxsize=16)
def _weights(path: Path, stamp: tuple[int, ...]) -> Shapes:
    with path.open("rb") as file:
        return read_header(file)[0]


@functools.lru_cache(maxsize=16)
def _sha256(path: Path, stamp: tuple[int, ...]) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
