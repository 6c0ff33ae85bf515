"""Trains the VAE's decoder further: ``python -m generation.miniature.training.train_decoder WORK``.

The encoder stays as it is. So the latents keep their meaning, and trained networks and LoRAs stay valid. The
decoder learns, from ``WORK/vae.pt`` on, to give back a picture after one pass and after two, from latents
that are a little wrong, and from pictures that have passed the VAE up to twice before. Its moving average is
written to ``WORK/vae.pt``. Killed and run again, it goes on from ``WORK/decoder.pt``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from generation.miniature.training import device as devices
from generation.miniature.training import family, samples, train_vae
from generation.miniature.training.checkpoints import (
    Plan,
    level_then_falling,
    load_checkpoint,
    log,
    save_checkpoint,
)
from generation.miniature.training.device import Device
from generation.miniature.training.drawing import Supply
from generation.miniature.training.train_vae import FILE, crops, reconstruction_loss, with_other_colours

STATE = "decoder.pt"
TOP_RATE = 1e-3
MOST_NOISE = 0.06  # on the latents, drawn for each picture from 0 on
EACH_STEP = {"cuda": 48, "cpu": 2}  # new pictures
AVERAGE = 0.01  # share of a step in the moving average of the weights


def training_loss(vae, device: Device, picture: torch.Tensor, step: int) -> torch.Tensor:
    """Of crops (B, 3, h, w) in -1..1."""
    torch.manual_seed(step)
    with device.autocast():
        seen = picture
        if step % 3 == 2:
            with torch.no_grad():
                for _ in range(1 + step % 2):
                    seen = vae.decoder(vae.encoder(seen)).float().clamp(-1, 1)
        latents = vae.encoder(seen)
        noise = torch.randn(latents.shape, device=device.type) * torch.rand(
            (len(latents), 1, 1, 1), device=device.type
        )
        once = vae.decoder(latents + MOST_NOISE * noise).float()
        again = vae.encoder(once.clamp(-1, 1))
        twice = vae.decoder(again).float()
    drift = (again.float() - latents.float()).abs().mean()
    return reconstruction_loss(once, picture) + reconstruction_loss(twice, picture) + 0.1 * drift


def train(work: Path, plan: Plan, device: Device, save_seconds: float = 120) -> torch.nn.Module:
    """The VAE with the trained decoder. Raises SystemExit if ``work`` holds no VAE."""
    kind = device.type
    vae, average = family.build_vae(), family.build_vae()
    counters = load_checkpoint(work / FILE, vae=vae)
    if counters is None:
        raise SystemExit(f"{work / FILE} is missing; run generation.miniature.training.all first")
    average.load_state_dict(vae.state_dict())
    vae.to(kind, memory_format=torch.channels_last).encoder.requires_grad_(False)
    optimizer = torch.optim.AdamW(
        vae.decoder.parameters(), lr=TOP_RATE, betas=(0.9, 0.99), weight_decay=1e-5, fused=True
    )
    parts = {"vae": vae, "average": average, "optimizer": optimizer}
    plan.start(load_checkpoint(work / STATE, **parts))
    average.to(kind).requires_grad_(False)
    supply = Supply(
        samples.draw_picture, lambda chunk: chunk, capacity=train_vae.RING[kind], chunk=16,
        beforehand=train_vae.RING[kind] // 4, each_step=EACH_STEP[kind], step=plan.step, device=device,
    )  # fmt: skip
    saved, running = time.monotonic(), None
    while not plan.finished:
        for group in optimizer.param_groups:
            group["lr"] = level_then_falling(plan, TOP_RATE, warm_up=50, level=0.35)
        picture = with_other_colours(
            crops(supply.fill(plan.step), train_vae.BATCH[kind], plan.step, device), plan.step
        )
        loss = training_loss(vae, device, picture.contiguous(memory_format=torch.channels_last), plan.step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.decoder.parameters(), 1.0)
        optimizer.step()
        for mine, new in zip(average.decoder.parameters(), vae.decoder.parameters(), strict=True):
            mine.lerp_(new, AVERAGE)
        plan.advance()
        running = loss.detach() if running is None else running.lerp(loss.detach(), 0.02)
        if plan.step % 200 == 0:
            log(f"decoder step {plan.step}, {plan.share:.0%}  loss {running.item():.4f}")
        if time.monotonic() - saved > save_seconds:
            save_checkpoint(work / STATE, plan.counters, **parts)
            saved = time.monotonic()
    save_checkpoint(work / STATE, plan.counters, **parts)
    save_checkpoint(work / FILE, counters, vae=average)
    return average


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=2, help="of training, earlier runs counted in")
    args = parser.parse_args()
    device = devices.choose()
    vae = train(args.work, Plan(seconds=60 * args.minutes), device)
    for name, value in train_vae.held_out_psnr(vae, device).items():
        log(f"{name}: {value:.2f} dB")


if __name__ == "__main__":
    main()
