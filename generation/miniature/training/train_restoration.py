"""Trains the restoration network: ``python -m generation.miniature.training.train_restoration WORK``.

``WORK`` holds the checkpoints of VAE and UNet; the network learns from what these paint (``spoiling``). Its
own checkpoint lies there, too, so a broken run goes on. Writes detector_models/restoration.safetensors.

The network learns to give back the drawing: by the error of pixels and of the matte, by a critic (hinge loss)
and by the critic's features, as pix2pixHD (Wang et al. 2018).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

from generation.miniature import matting, restoration
from generation.miniature.training import body_spoiling, spoiling
from generation.miniature.training.checkpoints import (
    Plan,
    level_then_falling,
    load_checkpoint,
    log,
    save_checkpoint,
)
from generation.miniature.training.critic import Critic
from generation.miniature.training.device import Device
from generation.miniature.training.drawing import Ring, Supply
from generation.miniature.training.painter import train_command, trained_painter

BATCH = {"cuda": 96, "cpu": 8}
RING, BODY_RING = {"cuda": 16_384, "cpu": 1_500}, {"cuda": 8_192, "cpu": 800}  # of 1 MB, and of 4 MB each
CHUNK = {"cuda": 64, "cpu": 8}
BEFOREHAND = {"cuda": 2_048, "cpu": 160}
EACH_STEP = {"cuda": 16, "cpu": 0.5}  # new samples
TOP_RATE, CRITIC_RATE, AVERAGE = 5e-4, 4e-4, 0.998
MUCH_NOISE = 600  # the timestep from which on an error counts less
DETAIL, GRAIN = 4.0, 23  # how much more an error counts on what stands out from a mean over GRAIN pixels
CRITICIZED = 192  # pixels of a side that the critic sees
FEATURES, ADVERSARIAL, MATTE = 4.0, 0.5, 1.0  # of the losses


@dataclass(frozen=True)
class Task:
    """What one of the two networks restores."""

    name: str
    build: Callable[[], restoration.RestorationNetwork]
    draw: Callable[[int], dict]
    samples: type[spoiling.Samples]
    ring: dict[str, int]

    @property
    def file(self) -> str:
        return f"{self.name}.pt"


HEAD = Task("restoration", restoration.RestorationNetwork, spoiling.draw, spoiling.Samples, RING)
BODY = Task(
    "body_restoration", restoration.body_network, body_spoiling.draw, body_spoiling.BodySamples, BODY_RING
)


def batch(ring: Ring, step: int, count: int, device: Device) -> dict:
    """``inputs`` of the network, ``picture``, ``place`` and ``skeleton`` in -1..1, ``hole``, ``alpha``, and
    how much each pixel's error counts, ``weight``; ``corner`` of the part that the critic sees."""
    rng = np.random.default_rng([29, step])
    rows = ring.take(count, rng)
    if rng.random() < 0.5:
        rows = {name: one.flip(-1) if one.dim() > 2 else one for name, one in rows.items()}
    hole = rows["hole"]
    last = [rows[name].permute(0, 2, 3, 1) for name in ("painted", "place", "skeleton")]
    seen = {
        name: rows[name].float().div(127.5).sub(1).contiguous(memory_format=torch.channels_last)
        for name in ("picture", "place", "skeleton")
    }
    subject = rows["alpha"] > 127
    weight = rows["weight"].float() / 10 * hole
    coarse = seen["picture"]
    for window in ((GRAIN, 1), (1, GRAIN)):  # one after the other: many times faster than a square
        coarse = F.avg_pool2d(coarse, window, 1, tuple(n // 2 for n in window), count_include_pad=False)
    detail = (seen["picture"] - coarse).abs().mean(1).mul(2).clamp(max=1)  # eyes, mouths, frames, outlines
    weight = weight * torch.where(subject, 1 + DETAIL * detail, 1.0)
    trusted = torch.where(rows["timestep"] > MUCH_NOISE, 0.3, 1.0)
    return seen | {
        "told": rows["told"],
        "inputs": matting.inputs_of(*last, hole).contiguous(memory_format=torch.channels_last),
        "hole": hole[:, None].float(),
        "alpha": rows["alpha"][:, None].float() / 255,
        "corner": rng.integers(hole.shape[-1] - CRITICIZED, size=2, endpoint=True).tolist(),
        "weight": (weight * trusted[:, None, None])[:, None],
    }


def composed(network, seen: dict[str, torch.Tensor], device: Device) -> tuple[torch.Tensor, ...]:
    """The restored picture (B, 3, H, W), the subject alone, and the logits of its alpha."""
    with device.autocast():
        subject, logits = network(seen["inputs"], seen["told"])
    subject, logits = subject.float(), logits.float()
    inside = seen["place"].lerp(subject, logits.sigmoid())
    return torch.lerp(seen["picture"], inside, seen["hole"]), subject, logits


def pixel_loss(picture, subject, logits, seen: dict[str, torch.Tensor]) -> torch.Tensor:
    weight = seen["weight"]
    total = weight.sum().clamp(min=1)
    error = picture - seen["picture"]
    alone = (subject - seen["picture"]) * seen["alpha"]
    colours = (error.abs() + 0.5 * alone.abs()).mean(1, keepdim=True)
    edges = sum(
        (
            error.diff(dim=axis).abs().mean(1, keepdim=True) * weight.narrow(axis, 1, weight.shape[axis] - 1)
        ).sum()
        for axis in (2, 3)
    )
    edge = (seen["alpha"] > 0.05) & (seen["alpha"] < 0.95)
    matte = F.binary_cross_entropy_with_logits(logits, seen["alpha"], reduction="none")
    matte = (matte * torch.where(edge, 4.0, 1.0) * weight).sum() / total
    return 4 * (colours * weight).sum() / total + 2 * edges / total + MATTE * matte


def criticized(picture: torch.Tensor, seen: dict[str, torch.Tensor]) -> torch.Tensor:
    """The part of pictures and skeletons that the critic sees, (B, 6, CRITICIZED, CRITICIZED)."""
    top, left = seen["corner"]
    both = torch.cat([picture, seen["skeleton"]], 1)[..., top : top + CRITICIZED, left : left + CRITICIZED]
    return both.contiguous(memory_format=torch.channels_last)


def critic_loss(critic, seen, picture, device: Device) -> torch.Tensor:
    with device.autocast():
        real = critic(criticized(seen["picture"], seen))
        fake = critic(criticized(picture.detach(), seen))
    return sum(
        F.relu(1 - good[-1].float()).mean() + F.relu(1 + bad[-1].float()).mean()
        for good, bad in zip(real, fake, strict=True)
    )


def adversarial_loss(critic, seen, picture, device: Device) -> torch.Tensor:
    with device.autocast():
        with torch.no_grad():
            real = critic(criticized(seen["picture"], seen))
        fake = critic(criticized(picture, seen))
    judged = sum(-bad[-1].float().mean() for bad in fake)
    alike = sum(
        F.l1_loss(a.float(), b.float())
        for bad, good in zip(fake, real, strict=True)
        for a, b in zip(bad[:-1], good[:-1], strict=True)
    )
    return ADVERSARIAL * judged + FEATURES * alike / len(real)


def train(
    work: Path, plan: Plan, device: Device, save_seconds: float = 60, task: Task = HEAD
) -> restoration.RestorationNetwork:
    """The network with its averaged weights; goes on from ``work / task.file`` where it is there."""
    kind = device.type
    torch.manual_seed(0)
    network, average, critic = (
        one.to(kind, memory_format=torch.channels_last) for one in (task.build(), task.build(), Critic())
    )
    average.load_state_dict(network.state_dict())
    average.requires_grad_(False)
    optimizers = [
        torch.optim.AdamW(one.parameters(), lr=1e-4, betas=(0.5, 0.99), weight_decay=1e-5, fused=True)
        for one in (network, critic)
    ]
    parts = {"network": network, "average": average, "critic": critic}
    parts |= {"optimizer": optimizers[0], "critic_optimizer": optimizers[1]}
    plan.start(load_checkpoint(work / task.file, **parts))
    if plan.finished:
        return average
    supply = Supply(
        task.draw, task.samples(*trained_painter(work, device)), capacity=task.ring[kind], chunk=CHUNK[kind],
        beforehand=BEFOREHAND[kind], each_step=EACH_STEP[kind], step=plan.step, device=device,
    )  # fmt: skip
    saved = time.monotonic()
    means: dict[str, torch.Tensor] = {}
    while not plan.finished:
        for optimizer, top in zip(optimizers, (TOP_RATE, CRITIC_RATE), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = level_then_falling(plan, top, warm_up=100, level=0.5)
        seen = batch(supply.fill(plan.step), plan.step, BATCH[kind], device)
        losses = train_step(network, critic, optimizers, seen, device)
        _move(average, network, plan.step)
        plan.advance()
        for name, loss in losses.items():
            means[name] = loss.detach().lerp(means.get(name, loss.detach()), 0.98)
        if plan.step % 100 == 0 or plan.finished:
            told = "  ".join(f"{name} {value.item():.4f}" for name, value in means.items())
            log(f"{task.name} step {plan.step}, {plan.share:.0%}  {told}")
        if time.monotonic() - saved > save_seconds:
            save_checkpoint(work / task.file, plan.counters, **parts)
            saved = time.monotonic()
    save_checkpoint(work / task.file, plan.counters, **parts)
    draw_sheet(average, seen, device, work / f"{task.name}.png")
    return average


def train_step(network, critic, optimizers: list, seen, device: Device) -> dict[str, torch.Tensor]:
    """Moves the critic, then the network; the losses by their names."""
    picture, subject, logits = composed(network, seen, device)
    losses = {"critic": critic_loss(critic, seen, picture, device)}
    _stepped(optimizers[1], losses["critic"], critic)
    critic.requires_grad_(False)
    losses["pixels"] = pixel_loss(picture, subject, logits, seen)
    losses["adversarial"] = adversarial_loss(critic, seen, picture, device)
    _stepped(optimizers[0], losses["pixels"] + losses["adversarial"], network)
    critic.requires_grad_(True)
    return losses


def _stepped(optimizer: torch.optim.Optimizer, loss: torch.Tensor, network: nn.Module) -> None:
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimizer.step()


def _move(average: nn.Module, network: nn.Module, step: int) -> None:
    """Move the averaged weights towards the network's, the less the later the step."""
    decay = min(AVERAGE, (1 + step) / (10 + step))
    for mine, new in zip(average.parameters(), network.parameters(), strict=True):
        mine.lerp_(new, 1 - decay)


@torch.no_grad()
def draw_sheet(network, seen: dict[str, torch.Tensor], device: Device, path: Path, count: int = 24) -> None:
    """Columns of paintings, restored pictures, drawings and alphas, to look at."""
    picture, _, logits = composed(network, seen, device)
    alpha = logits.sigmoid().mul(2).sub(1).expand(-1, 3, -1, -1)
    rows = [seen["inputs"][:, :3], picture, seen["picture"], alpha]
    rows = [torch.cat(list(row[:count]), 2) for row in rows]
    pixels = torch.cat(rows, 1).clamp(-1, 1).add(1).mul(127.5).byte().permute(1, 2, 0)
    Image.fromarray(pixels.cpu().numpy()).save(path)


if __name__ == "__main__":
    train_command(__doc__, train, restoration.FILE, minutes=70)
