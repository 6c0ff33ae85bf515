"""The trained painter, and the command that trains a network of what it paints."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from generation.miniature.training import device as devices
from generation.miniature.training import family, train_unet, train_vae
from generation.miniature.training.checkpoints import Plan, load_checkpoint, log
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


def train_command(
    description: str, train: Callable[[Path, Plan, Device], nn.Module], file: Path, minutes: float
) -> None:
    """Read the command line, call ``train``, and write its network to ``file`` in half precision.

    The first line of ``description`` is the command's help. ``minutes`` is the default, as ``file`` is.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("work", type=Path, help="the folder of training.all, with its checkpoints")
    parser.add_argument("--minutes", type=float, default=minutes, help="of training, earlier runs counted in")
    parser.add_argument("--file", type=Path, default=file, help="where the weights go")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="instead of the fastest that is there")
    args = parser.parse_args()
    network = train(args.work, Plan(seconds=60 * args.minutes), devices.choose(args.device)).cpu()
    weights = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(weights, args.file)
    log(f"{args.file}: {args.file.stat().st_size / 1e6:.2f} MB")
