"""Job folders for the generation tests: small drawn pictures, a request, and a LoRA with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from generation.miniature import demo_content
from generation.request import GenerationRequest


def make_job(
    folder: Path, *, lora: Path | None = None, size: tuple[int, int] = (256, 256), **changes
) -> Path:
    """Write a request and its pictures into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    background = Image.linear_gradient("L").resize(size).convert("RGB")
    ImageDraw.Draw(background).rectangle((10, 10, 90, 60), fill=(200, 60, 40))
    background.save(folder / "background.png")
    shot = demo_content.make_shot("waving", "MES")
    shot.skeleton.save(folder / "skeleton.png")
    shot.subject_mask.save(folder / "subject-mask.png")
    shot.face_mask.save(folder / "face-mask.png")
    values = {
        "code": "12345678",
        "profile": "miniature",
        "seed": 7,
        "background": "background.png",
        "skeleton": "skeleton.png",
        "subject_mask": "subject-mask.png",
        "face_mask": "face-mask.png",
        "age": "adult",
        "gender": "woman",
        "action_description": "waving with one hand raised",
        "other_details": "a red coat",
        "place_description": "sunny street",
    }
    if lora:
        (folder / "lora.safetensors").write_bytes(lora.read_bytes())
        values |= {"lora": "lora.safetensors", "lora_code": "87654321"}
    GenerationRequest.from_dict(values | changes).save(folder)
    return folder


def make_lora(unet_folder: Path, path: Path, rank: int = 4) -> Path:
    """A LoRA in kohya's format with random weights for the attention layers of a UNet."""
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(unet_folder))
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for name, module in unet.named_modules():
        if isinstance(module, torch.nn.Linear) and "attentions" in name and ".attn" in name:
            key = "lora_unet_" + name.replace(".", "_")
            tensors[f"{key}.lora_down.weight"] = torch.randn(rank, module.in_features, generator=generator)
            tensors[f"{key}.lora_up.weight"] = torch.randn(module.out_features, rank, generator=generator)
            tensors[f"{key}.alpha"] = torch.tensor(float(rank))
    save_file(tensors, path)
    return path
