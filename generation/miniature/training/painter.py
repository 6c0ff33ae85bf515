"""The trained painter, of which other networks learn."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from generation.miniature.training import family, train_unet, train_vae
from generation.miniature.training.checkpoints import load_checkpoint
from generation.miniature.training.device import Device
from generation.miniature.training.trainee import Trainee


def trained_painter(work: Path, device: Device) -> tuple[nn.Module, Trainee]:
    """VAE and networks with their averaged weights. Raises SystemExit if there are no checkpoints."""
    vae, trainee = family.build_vae(), Trainee(work, device)
    load_checkpoint(work / train_vae.FILE, vae=vae)
    if not load_checkpoint(work / train_unet.FILE, **trainee.parts()):
        raise SystemExit(f"{work}: there are no checkpoints; run generation.miniature.training.all first")
    trainee.to_device()
    trainee.ema.copy_to(trainee.networks.parameters())
    trainee.networks.requires_grad_(False)
    return vae.to(device.type, memory_format=torch.channels_last).requires_grad_(False), trainee
