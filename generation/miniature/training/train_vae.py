"""Trains the miniature's VAE on drawn scenes and close-ups. ``training.all`` calls it; resumable.

The loss on crops is L1 + 2 x L2, and two terms for what a mean error hardly sees: edges (L1 of the
differences between neighbours) and colours (L1 of the error averaged over 8 x 8 pixels). Noise on the latents
makes the decoder forgive what a UNet gets slightly wrong. A small pull of each latent channel to mean 0 and
deviation 1 lets the scaling factor be 1.

Every third batch has passed the VAE once already, and must come back with the same pixels and latents: a
picture passes the VAE once in each step, and what one pass loses must not be lost again in the next.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from generation.miniature.training import family, samples
from generation.miniature.training.checkpoints import (
    Plan,
    level_then_falling,
    load_checkpoint,
    log,
    save_checkpoint,
)
from generation.miniature.training.device import Device
from generation.miniature.training.drawing import Supply
from generation.miniature.training.latents import LATENT_CHANNELS, VAE_FACTOR
from generation.miniature.world import scenes
from generation.miniature.world.pen import SCENE, View

FILE = "vae.pt"
CROP = 96
LATENT_NOISE = 0.04
BATCH = {"cuda": 96, "cpu": 12}
TOP_RATE = {"cuda": 2e-3, "cpu": 1.5e-3}
RING = {"cuda": 24_000, "cpu": 4_000}
EACH_STEP = {"cuda": 16, "cpu": 2}  # new pictures


def crops(ring, count: int, step: int, device: Device) -> torch.Tensor:
    """(count, 3, CROP, CROP) in -1..1; every other crop lies around the head."""
    rng = np.random.default_rng([11, step])
    rows = ring.take(count, rng)
    corners = device.place(torch.from_numpy(rng.integers(0, SCENE - CROP + 1, (count, 2))))
    near = rows["head"] - CROP / 2 + device.place(torch.from_numpy(rng.integers(-24, 25, (count, 2))))
    near = near.clamp(0, SCENE - CROP).long()
    every_other = torch.arange(count, device=device.type)[:, None] % 2 == 0
    corners = torch.where(every_other, near, corners)
    span = torch.arange(CROP, device=device.type)
    x, y = (corners[:, 0, None] + span)[:, None, :], (corners[:, 1, None] + span)[:, :, None]
    cut = rows["picture"][torch.arange(count, device=device.type)[:, None, None], y, x]
    return cut.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def with_other_colours(pictures: torch.Tensor, step: int) -> torch.Tensor:
    """In three of ten steps the batch with its colour channels exchanged: more colours than are drawn."""
    rng = np.random.default_rng([13, step])
    return pictures[:, rng.permutation(3).tolist()] if rng.random() < 0.3 else pictures


def reconstruction_loss(copy: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    error = copy - picture
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    colours = F.avg_pool2d(error, 8).abs().mean()
    return error.abs().mean() + 2 * error.square().mean() + 0.5 * edges + 0.5 * colours


def training_step(vae, device: Device, picture: torch.Tensor, step: int) -> torch.Tensor:
    torch.manual_seed(step)
    small = CROP // VAE_FACTOR
    noise = torch.randn((len(picture), LATENT_CHANNELS, small, small), device=device.type)
    with device.autocast():
        if step % 3 == 2:
            with torch.no_grad():
                once = vae.encoder(picture)
                picture = vae.decoder(once).float().clamp(-1, 1)
        latents = vae.encoder(picture)
        copy = vae.decoder(latents + LATENT_NOISE * noise).float()
    latents = latents.float()
    spread = latents.permute(1, 0, 2, 3).flatten(1)
    pull = spread.mean(1).square().mean() + (spread.std(1) - 1).square().mean()
    loss = reconstruction_loss(copy, picture) + 0.01 * pull
    if step % 3 == 2:
        loss = loss + 0.25 * (latents - once.float()).abs().mean()
    return loss


@torch.no_grad()
def passes(vae, pictures: torch.Tensor, count: int) -> torch.Tensor:
    """Pictures (N, 3, H, W) in -1..1 after ``count`` passes, rounded to 8 bits between them as files are."""
    for _ in range(count):
        pictures = vae.decoder(vae.encoder(pictures)).clamp(-1, 1)
        pictures = pictures.add(1).mul(127.5).round().div(127.5).sub(1)
    return pictures


@functools.cache
def _held_out(close: bool, count: int) -> torch.Tensor:
    pictures = []
    for k in range(count):
        scene = scenes.random_scene(scenes.HELD_OUT + k)
        view = samples.close_up_view(scene, 0.5) if close else View()
        pictures.append(np.asarray(scenes.draw_scene(scene, view)))
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def held_out_psnr(vae, device: Device, count: int = 24) -> dict[str, float]:
    """Mean PSNR in dB on whole held-out scenes and close-ups of faces, after one pass and after five."""
    result = {}
    for name, close in (("scenes", False), ("faces", True)):
        pictures = device.place(_held_out(close, count))
        for number in (1, 5):
            copies = torch.cat([passes(vae, part, number) for part in pictures.split(8)])
            errors = ((copies - pictures) / 2).square().mean((1, 2, 3))
            result[f"{name}, {number} pass{'es' * (number > 1)}"] = float((-10 * errors.log10()).mean())
    return result


def train(work: Path, plan: Plan, device: Device, save_seconds: float = 120) -> torch.nn.Module:
    """The trained VAE, in float32 on the device; goes on from ``work/vae.pt`` where it is there."""
    torch.manual_seed(0)
    vae = family.build_vae().to(device.type, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(vae.parameters(), lr=1e-3, weight_decay=1e-4, fused=True)
    plan.start(load_checkpoint(work / FILE, vae=vae, optimizer=optimizer))
    if plan.finished:
        return vae
    kind = device.type
    supply = Supply(
        samples.draw_picture, lambda chunk: chunk, capacity=RING[kind], chunk=16, beforehand=RING[kind] // 4,
        each_step=EACH_STEP[kind], step=plan.step, device=device,
    )  # fmt: skip
    running, reported, saved, measured = None, time.monotonic(), time.monotonic(), 0
    while not plan.finished:
        for group in optimizer.param_groups:
            group["lr"] = level_then_falling(plan, TOP_RATE[kind], level=0.4)
        picture = with_other_colours(crops(supply.fill(plan.step), BATCH[kind], plan.step, device), plan.step)
        loss = training_step(vae, device, picture.contiguous(memory_format=torch.channels_last), plan.step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        plan.advance()
        running = loss.detach() if running is None else running.lerp(loss.detach(), 0.02)
        if plan.step % 100 == 0:
            pace = (time.monotonic() - reported) / 100
            told = f"loss {running.item():.4f}  {1 / pace:.1f} steps a second"
            log(f"vae step {plan.step}, {plan.share:.0%}  {told}")
            reported = time.monotonic()
        if time.monotonic() - saved > save_seconds:
            save_checkpoint(work / FILE, plan.counters, vae=vae, optimizer=optimizer)
            if plan.step - measured > 500:
                log(f"vae step {plan.step}  {_in_words(held_out_psnr(vae, device))}")
                measured = plan.step
            saved = reported = time.monotonic()
    save_checkpoint(work / FILE, plan.counters, vae=vae, optimizer=optimizer)
    log(f"vae step {plan.step}, its end  {_in_words(held_out_psnr(vae, device))}")
    return vae


def _in_words(psnr: dict[str, float]) -> str:
    return "; ".join(f"{name} {value:.2f} dB" for name, value in psnr.items())
