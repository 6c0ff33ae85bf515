"""What a LoRA's file says about itself: kohya's metadata, its base model's hashes, the model specification.

The base is known by the file of its UNet in diffusers' layout: ``ss_sd_model_hash`` and
``ss_new_sd_model_hash`` are of that file, as kohya's are of a whole checkpoint. ``sshs_*`` are of the LoRA
itself; ``modelspec.*`` follows https://github.com/Stability-AI/ModelSpec. Other programs show all of these.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import time
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache
from pictures import Picture
from safetensors.torch import save

OPTIONS = (
    "network_module network_dim network_alpha learning_rate unet_lr text_encoder_lr lr_scheduler "
    "lr_warmup_steps max_train_steps gradient_checkpointing cache_latents mixed_precision max_grad_norm "
    "min_snr_gamma noise_offset output_name resolution enable_bucket bucket_no_upscale"
)
UNET = "unet/diffusion_pytorch_model.safetensors"
LEGACY_START, LEGACY_LENGTH = 0x100000, 0x10000  # bytes, which the old kind of hash is of


def of_training(
    args: argparse.Namespace, pictures: list[Picture], seed: int, epoch_length: int, predicts_velocity: bool
) -> dict[str, str]:
    """What all files of a training have in common; strings, as safetensors wants them."""
    folders = {p.path.parent.name: {"n_repeats": p.repeats, "img_count": 0} for p in pictures}
    for picture in pictures:
        folders[picture.path.parent.name]["img_count"] += 1
    source = args.pretrained_model_name_or_path
    values = {name: getattr(args, name) for name in OPTIONS.split()} | {
        "debiased_estimation": args.debiased_estimation_loss,
        "base_model_version": "sd_v1",
        "v2": False,
        "sd_model_name": Path(source).name if Path(source).exists() else source,
        "optimizer": "torch.optim.adamw.AdamW",
        "seed": seed,
        "num_train_images": sum(picture.repeats for picture in pictures),
        "num_batches_per_epoch": epoch_length,
        "total_batch_size": args.train_batch_size,
        "dataset_dirs": json.dumps(folders),
        "training_started_at": time.time(),
        **base_hashes(source, args.revision),
    }
    specification = {
        "sai_model_spec": "1.0.1",
        "architecture": "stable-diffusion-v1/lora",
        "implementation": "diffusers",
        "title": args.output_name,
        "resolution": "x".join(map(str, args.resolution)),
        "prediction_type": "v" if predicts_velocity else "epsilon",
    }
    return {f"ss_{name}": str(value) for name, value in values.items()} | {
        f"modelspec.{name}": value for name, value in specification.items()
    }


def of_file(
    weights: dict[str, torch.Tensor], metadata: dict[str, str], step: int, epoch: int
) -> dict[str, str]:
    """``metadata``, and what this one file adds to it."""
    now = time.time()
    steps = {"ss_steps": str(step), "ss_epoch": str(epoch), "ss_training_finished_at": str(now)}
    date = datetime.datetime.fromtimestamp(int(now)).isoformat()
    known = metadata | steps
    whole = save(weights, {name: value for name, value in known.items() if name.startswith("ss_")})
    content = memoryview(whole)[8 + int.from_bytes(whole[:8], "little") :]
    return known | {
        "modelspec.date": date,
        "sshs_model_hash": hashlib.sha256(content).hexdigest(),
        "sshs_legacy_hash": _legacy(whole[LEGACY_START : LEGACY_START + LEGACY_LENGTH]),
    }


def base_hashes(source: str, revision: str | None) -> dict[str, str]:
    """Of the UNet's file; none if it is in several files."""
    path = Path(source) / UNET
    if not Path(source).is_dir():
        cached = try_to_load_from_cache(source, UNET, revision=revision)
        path = Path(cached) if isinstance(cached, str) else path
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
        file.seek(LEGACY_START)
        return {"sd_model_hash": _legacy(file.read(LEGACY_LENGTH)), "new_sd_model_hash": whole}


def _legacy(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8]
