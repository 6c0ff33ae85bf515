"""Trained weights in diffusers' layout, half precision: ``python -m generation.miniature.export WORK``."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionInpaintPipeline

from generation.miniature import assemble
from generation.miniature.training import family, train_unet, train_vae
from generation.miniature.training.checkpoints import load_checkpoint, log
from generation.miniature.training.device import Device
from generation.miniature.training.trainee import Trainee


def export(work: Path, target: Path) -> None:
    """Write ``target/inpaint`` and ``target/controlnet`` from the moving averages in ``work``."""
    vae, trainee = family.build_vae(), Trainee(work, Device("cpu", torch.float32))
    counters = load_checkpoint(work / train_unet.FILE, **trainee.parts())
    if not counters or not load_checkpoint(work / train_vae.FILE, vae=vae):
        raise SystemExit(f"{work}: there are no checkpoints; run generation.miniature.training.all first")
    trainee.ema.copy_to(trainee.networks.parameters())
    pipeline = StableDiffusionInpaintPipeline(
        vae=vae,
        text_encoder=trainee.text_encoder,
        tokenizer=trainee.tokenizer,
        unet=trainee.unet,
        scheduler=DPMSolverMultistepScheduler(**family.SCHEDULER),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(torch.float16).save_pretrained(target / "inpaint")
    trainee.controlnet.to(torch.float16).save_pretrained(target / "controlnet")
    size = sum(f.stat().st_size for f in target.rglob("*") if f.is_file() and "detail" not in f.parts)
    log(f"wrote {target} after {counters['step']} steps: {size / 1e6:.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--target", type=Path, default=assemble.WEIGHTS)
    args = parser.parse_args()
    export(args.work, args.target)
    assemble.assemble(args.target)


if __name__ == "__main__":
    main()
