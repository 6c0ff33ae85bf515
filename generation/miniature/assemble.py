"""Completes the committed weights: ``python -m generation.miniature.assemble``, part of every set-up.

The four-channel model of the detail and harmonize steps is the inpainting model with the first four channels
of its UNet's ``conv_in``. It is made here rather than stored twice. Quick when it is there already.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from safetensors.torch import load_file, save_file

WEIGHTS = Path(__file__).parent / "weights"
UNET_FILE = "diffusion_pytorch_model.safetensors"


def assemble(weights: Path = WEIGHTS) -> Path:
    """Make ``weights/detail`` from ``weights/inpaint`` where it is missing or older; returns its path."""
    source, target = weights / "inpaint", weights / "detail"
    made, newest = target / "unet" / UNET_FILE, source / "unet" / UNET_FILE
    if made.exists() and made.stat().st_mtime >= newest.stat().st_mtime:
        return target
    aside = Path(tempfile.mkdtemp(dir=weights, prefix=".detail-"))
    try:
        shutil.copytree(source, aside, dirs_exist_ok=True)
        aside.chmod(0o755)  # whoever runs the set-up, every user of the machine may read the weights
        _cut_to_four_channels(aside / "unet")
        index = json.loads((aside / "model_index.json").read_text())
        index["_class_name"] = "StableDiffusionPipeline"
        (aside / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
        for file in aside.rglob("*.safetensors"):
            file.chmod(0o644)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return target


def _cut_to_four_channels(unet: Path) -> None:
    tensors = load_file(unet / UNET_FILE)
    tensors["conv_in.weight"] = tensors["conv_in.weight"][:, :4].contiguous()
    save_file(tensors, unet / UNET_FILE, metadata={"format": "pt"})
    config = json.loads((unet / "config.json").read_text())
    config["in_channels"] = 4
    (unet / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    print(assemble())
