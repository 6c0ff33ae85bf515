"""Trains the miniature's UNet, ControlNet and text encoder together. ``training.all`` calls it; resumable.

One UNet of nine channels learns three things, in every batch:
- *pose*: the person into the hole of a scene, the ControlNet reading the skeleton;
- *face*: the head into the hole of a close-up, without the ControlNet;
- *plain*: whole scenes with the five extra channels zero, so that the first four channels of ``conv_in``
  are a four-channel UNet, the one that the detail and harmonize steps use.
The target is v. An error of the picture counts SNR + 0.5, at most 5 (*plain*: 20): min-SNR weights (Hang et
al. 2023) and a part of it for the noisiest steps, in which pose and colours are decided; the last steps, in
which lines become sharp, count more in a face (at most 10). ``samples`` says how much an error counts by its
place.
"""

from __future__ import annotations

import functools
import math
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr

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
from generation.miniature.training.gradients import CapturedGradients, Gradients
from generation.miniature.training.sheet import draw_sheet
from generation.miniature.training.trainee import Trainee

FILE = "unet.pt"
# Samples of each kind in a batch: pose, face, plain.
BATCH = {"cuda": (112, 112, 32), "cpu": (11, 11, 2)}
TOP_RATE = {"cuda": 1.5e-3, "cpu": 8e-4}
RING = {"cuda": 40_960, "cpu": 6_144}  # samples of each kind that are kept
BEFOREHAND = {"cuda": 1_536, "cpu": 768}
EACH_STEP = {"cuda": 32, "cpu": 1.5}  # new samples of each kind
CHUNK = {"cuda": 64, "cpu": 16}  # samples drawn and encoded together
MIN_WEIGHT = 0.5  # of an error of the picture itself
MAX_WEIGHT, MAX_FACE_WEIGHT, MAX_PLAIN_WEIGHT = 5.0, 10.0, 20.0
PLAIN_TIMESTEPS = 400  # of 1000: the steps that use it start from half a picture or more
NO_CAPTION, NO_SKELETON = 0.1, 0.05  # shares


class NoiseSchedule:
    """The scheduler's values on the device, so that a training step need not wait for the CPU."""

    def __init__(self, device: Device):
        scheduler = DDPMScheduler(**family.SCHEDULER)
        alphas = scheduler.alphas_cumprod
        self.signal, self.noise = (
            device.place(alphas.sqrt().float()),
            device.place((1 - alphas).sqrt().float()),
        )
        self.snr = device.place(compute_snr(scheduler, torch.arange(1000)).float())

    def noisy(self, latents, noise, timesteps):
        """The noisy latents, and v."""
        signal, scale = (
            self.signal[timesteps][:, None, None, None],
            self.noise[timesteps][:, None, None, None],
        )
        return signal * latents + scale * noise, signal * noise - scale * latents

    def error_weight(self, timesteps, most):
        """(B,): of the squared error of v, so that the picture's counts SNR + 0.5, at most ``most``."""
        snr = self.snr[timesteps]
        return torch.minimum(snr + MIN_WEIGHT, most) / (snr + 1)


def spread_timesteps(count: int, device: str) -> torch.Tensor:
    """(count,) integers of 0..999, one in each of ``count`` equal parts, in any order.

    Less noise in the loss of a small batch (Kingma et al. 2021, "low-discrepancy sampler").
    """
    places = torch.randperm(count, device=device) + torch.rand(1, device=device)
    return (places / count * 1000).long()


def joined_batch(
    pose, face, step: int, counts: tuple[int, int, int], empty: torch.Tensor, device: Device
) -> dict:
    """The batch of this step out of the two rings: pose, then face, then plain samples."""
    rng = np.random.default_rng([17, step])
    posed, faces, plain = counts
    parts = [pose.take(posed, rng), face.take(faces, rng), pose.take(plain, rng)]
    batch = {
        name: torch.cat([part[name] for part in parts])
        for name in ("latents", "around", "hole", "weight", "tokens")
    }
    count = sum(counts)
    chosen = device.place(torch.from_numpy(rng.integers(samples.CAPTIONS, size=count)))
    batch["tokens"] = batch["tokens"][torch.arange(count, device=device.type), chosen]
    silent = device.place(torch.from_numpy(rng.random(count) < NO_CAPTION))
    batch["tokens"] = torch.where(silent[:, None], empty, batch["tokens"])
    seen = device.place(torch.from_numpy(rng.random(posed) >= NO_SKELETON))
    batch["skeletons"] = parts[0]["skeleton"].float().div(255) * seen[:, None, None, None]
    return batch


def noised(schedule: NoiseSchedule, batch: dict, step: int, plain: int, device: Device) -> dict:
    """What the networks see of a batch and what they should answer; its last ``plain`` samples are plain.

    ``noisy``, ``target`` (B, 4, h, w), ``extra`` (B, 5, h, w), ``weight`` (B, 1, h, w) of the squared error,
    ``timesteps`` (B,) and ``skeletons``. Noise and timesteps follow from ``step``.
    """
    latents = batch["latents"].float()
    torch.manual_seed(step)
    noise = torch.randn(latents.shape, device=device.type)
    posed = len(batch["skeletons"])
    kinds = (posed, len(latents) - posed - plain, plain)
    timesteps = torch.cat([spread_timesteps(kind, device.type) for kind in kinds])
    timesteps[-plain:] = timesteps[-plain:] * PLAIN_TIMESTEPS // 1000
    noisy, target = schedule.noisy(latents, noise, timesteps)
    extra = torch.cat([batch["hole"].float(), batch["around"].float()], 1)
    extra[-plain:] = 0
    weight = batch["weight"].float()
    weight[-plain:] = 1
    most = torch.full_like(timesteps, MAX_WEIGHT, dtype=torch.float32)
    most[posed:-plain] = MAX_FACE_WEIGHT
    most[-plain:] = MAX_PLAIN_WEIGHT
    weight = weight / weight.mean((1, 2, 3), keepdim=True)
    weight = weight * schedule.error_weight(timesteps, most)[:, None, None, None]
    return {
        "noisy": noisy,
        "target": target,
        "extra": extra,
        "weight": weight,
        "timesteps": timesteps,
        "skeletons": batch["skeletons"],
    }


@torch.no_grad()
def encoded(vae, trainee: Trainee, chunk: dict) -> dict[str, torch.Tensor]:
    """Rows of a ring: what a sample's pictures are to the UNet, in half precision."""
    device = trainee.device
    pictures = torch.cat([device.place(chunk["picture"]), device.place(chunk["around"])])
    pictures = (
        pictures.permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
    )
    with device.autocast():
        latents, around = vae.encoder(pictures).to(torch.float16).chunk(2)
    texts = [text for captions in chunk["captions"] for text in captions]
    tokens = trainee.tokens(texts).unflatten(0, (len(chunk["captions"]), samples.CAPTIONS))
    rows = {
        "latents": latents,
        "around": around,
        "hole": chunk["hole"][:, None],
        "weight": chunk["weight"][:, None],
        "tokens": tokens,
    }
    if "skeleton" in chunk:
        rows["skeleton"] = chunk["skeleton"]
    return rows


def supplies(vae, trainee: Trainee, step: int) -> tuple[Supply, ...]:
    """The two streams of samples, of poses and of faces."""
    device = trainee.device
    return tuple(
        Supply(
            functools.partial(samples.draw_sample, kind),
            functools.partial(encoded, vae, trainee),
            capacity=RING[device.type], chunk=CHUNK[device.type], beforehand=BEFOREHAND[device.type],
            each_step=EACH_STEP[device.type], step=step, device=device,
        )
        for kind in samples.KINDS
    )  # fmt: skip


def train(work: Path, vae, plan: Plan, device: Device, save_seconds: float = 120) -> Trainee:
    """Train from ``work/unet.pt``, or from nothing, to the end of the plan; sheets go to ``work``.

    Raises FloatingPointError if the loss stops being a number; the checkpoint is then older than that.
    """
    vae = vae.requires_grad_(False)
    torch.manual_seed(0)
    trainee = Trainee(work, device)
    plan.start(load_checkpoint(work / FILE, **trainee.parts()))
    trainee.to_device()
    if plan.finished:
        return trainee
    schedule, counts = NoiseSchedule(device), BATCH[device.type]
    empty = device.place(trainee.tokens([""]))
    pose, face = supplies(vae, trainee, plan.step)
    gradients = CapturedGradients(trainee) if device.is_gpu else Gradients(trainee)
    log(f"unet: batches of {sum(counts)}, from step {plan.step}")
    running, saved, sheet = None, time.monotonic(), time.monotonic()
    reported, reported_step = time.monotonic(), plan.step
    while not plan.finished:
        for group in trainee.optimizer.param_groups:
            group["lr"] = level_then_falling(plan, TOP_RATE[device.type])
        rings = [supply.fill(plan.step) for supply in (pose, face)]
        batch = joined_batch(*rings, plan.step, counts, empty, device)
        loss = gradients(noised(schedule, batch, plan.step, counts[2], device), batch["tokens"])
        torch.nn.utils.clip_grad_norm_(trainee.networks.parameters(), 1.0)
        trainee.optimizer.step()
        trainee.ema.step(trainee.networks.parameters())
        plan.advance()
        running = loss.clone() if running is None else running.lerp(loss, 0.02)
        if plan.step % 50 == 0 or plan.finished:
            value = running.item()  # waits for the GPU
            if not math.isfinite(value):
                raise FloatingPointError(f"step {plan.step}: the loss is {value}; go on from {work / FILE}")
            pace = (plan.step - reported_step) * sum(counts) / (time.monotonic() - reported)
            log(f"unet step {plan.step}, {plan.share:.0%}  loss {value:.4f}  {pace:.0f} samples a second")
            reported, reported_step = time.monotonic(), plan.step
        if time.monotonic() - saved > save_seconds:
            save_checkpoint(work / FILE, plan.counters, **trainee.parts())
            saved = reported = time.monotonic()
            reported_step = plan.step
        if time.monotonic() - sheet > 20 * save_seconds:
            draw_sheet(trainee, vae, work / f"sheet-{plan.step:06d}.png")
            sheet = reported = time.monotonic()
            reported_step = plan.step
    save_checkpoint(work / FILE, plan.counters, **trainee.parts())
    draw_sheet(trainee, vae, work / "sheet.png")
    return trainee
