"""Trains the matting network: ``python -m generation.miniature.training.train_matting WORK --minutes 20``.

``WORK`` holds the checkpoints of VAE and UNet; the network learns from what these paint. Its own checkpoint
lies there, too, so a broken run goes on. Writes detector_models/matting.safetensors.

Of three samples, two are a drawing at a random noise level, finished by the UNet in one step: its outline is
still known, its background is already the UNet's. The third is a drawing laid on a distorted place with a
veil around it. Its outline is exact, and the veil must be told from hair.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from generation.miniature import matting
from generation.miniature.training import samples, train_unet
from generation.miniature.training.checkpoints import (
    Plan,
    level_then_falling,
    load_checkpoint,
    log,
    save_checkpoint,
)
from generation.miniature.training.device import Device
from generation.miniature.training.drawing import Ring, Supply
from generation.miniature.training.latents import VAE_FACTOR
from generation.miniature.training.painter import train_command, trained_painter
from generation.miniature.training.trainee import Trainee
from generation.miniature.world import scenes
from generation.miniature.world.pen import SCENE
from generation.models.profiles import MINIATURE

FILE = "matting.pt"
BATCH, TOP_RATE, SAVE_STEPS = 6, 2e-3, 50
RING, CHUNK, BEFOREHAND, EACH_STEP = 1_200, 8, 160, 0.4  # samples, as in drawing.Supply
TIMESTEPS = (60, 990)
MUCH_NOISE = 500  # from here on the UNet often paints other hair and clothes than were drawn: counts half
NEAR_EDGE = 4.0  # how much a pixel of the outline counts
VEILED, LIKE_HAIR = 0.6, 0.5  # shares of the drawings with a veil, and before a place of the hair's colour


def draw(index: int) -> dict:
    """A *pose* sample with its ``index``, ``place``, (256, 256, 3) uint8, and the subject's ``alpha``,
    (256, 256) uint8."""
    scene = samples.scene_of("pose", index)
    place, alpha = scenes.draw_background(scene), scenes.silhouette(scene)
    drawn = {"index": np.asarray(index), "place": np.asarray(place), "alpha": np.asarray(alpha)}
    return samples.draw_sample("pose", index, close_ups=0) | drawn


@torch.no_grad()
def painted(vae, trainee: Trainee, schedule: train_unet.NoiseSchedule, chunk: dict) -> dict:
    """Rows of a ring: the samples of a chunk, and how the UNet finishes them from a random timestep."""
    device, rows = trainee.device, train_unet.encoded(vae, trainee, chunk)
    latents = rows["latents"].float()
    torch.manual_seed(int(chunk["index"][0]))
    timesteps = torch.randint(*TIMESTEPS, (len(latents),), device=device.type)
    noisy, _ = schedule.noisy(latents, torch.randn_like(latents), timesteps)
    words = trainee.embed(rows["tokens"][:, 0])
    extra = torch.cat([rows["hole"].float(), rows["around"].float()], 1)
    skeletons = rows["skeleton"].float().div(255)
    v = trainee.predict(noisy, extra, timesteps, words, skeletons, MINIATURE.controlnet_scale).float()
    signal, noise = (scale[timesteps][:, None, None, None] for scale in (schedule.signal, schedule.noise))
    with device.autocast():
        pictures = vae.decoder(signal * noisy - noise * v).float()
    pictures = pictures.clamp(-1, 1).add(1).mul(127.5).byte().permute(0, 2, 3, 1)
    hole = F.interpolate(rows["hole"].float(), scale_factor=VAE_FACTOR)[:, 0] > 0.5
    place = device.place(chunk["place"])
    return {
        "painted": torch.where(hole[..., None], pictures, place),
        "timestep": timesteps,
        "hole": hole,
        "place": place,
        "picture": chunk["picture"],
        "skeleton": chunk["skeleton"].permute(0, 2, 3, 1).contiguous(),
        "alpha": chunk["alpha"],
    }


def veiled(row: dict[str, np.ndarray], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """(256, 256, 3) uint8, twice: a painting and its place.

    The painting is the drawing, softer, on a place that is distorted as a VAE and a UNet do it.
    """
    picture, place = row["picture"].astype(np.float32), row["place"].astype(np.float32)
    alpha = row["alpha"].astype(np.float32) / 255
    if rng.random() < LIKE_HAIR:
        place = _like_hair(picture, place, alpha, rng)
    around = place + _field(rng, int(rng.choice([8, 16, 32, 64])), rng.gamma(2, 5)) + rng.normal(0, 6, 3)
    around = _blurred(around, rng.uniform(0.3, 3))
    if rng.random() < VEILED:
        share = _veil(alpha, rng)[..., None]
        around = around * (1 - share) + _veil_colour(picture, alpha, rng) * share
    subject = _blurred(picture, rng.uniform(0.3, 1.6)) + _field(rng, 16, rng.uniform(0, 6))
    soft = _blurred(alpha, rng.uniform(0.4, 1.4))[..., None]
    mixed = np.where(row["hole"][..., None], subject * soft + around * (1 - soft), place)
    return mixed.clip(0, 255).astype(np.uint8), place.clip(0, 255).astype(np.uint8)


def _like_hair(
    picture: np.ndarray, place: np.ndarray, alpha: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The place, with its colours moved so that it is behind the hair nearly of the hair's colour."""
    rows, columns = np.nonzero(alpha > 0.9)
    if not len(rows):
        return place
    top = min(rows.min() + 4, SCENE - 1)
    column = int(np.median(columns[rows <= top]))
    return place + picture[top, column] - place[top, column] + rng.normal(0, 14)


def _veil(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W), 0..1: patches of an area around the subject, with soft edges."""
    size = 2 * int(rng.integers(3, 22)) + 1
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    area = _blurred(cv2.dilate(alpha, ball), rng.uniform(1, 5))
    patches = np.clip(rng.normal(0.3, 1.2, (6, 6)), 0, 1).astype(np.float32)
    patches = cv2.resize(patches, (SCENE, SCENE), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    return area * patches * rng.uniform(0.1, 0.45)


def _veil_colour(picture: np.ndarray, alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(3,): often one of the subject's own colours, often grey."""
    rows, columns = np.nonzero(alpha > 0.5)
    colour = rng.uniform(60, 240, 3)
    if len(rows) and rng.random() < 0.4:
        spot = rng.integers(len(rows))
        colour = picture[rows[spot], columns[spot]]
    return np.full(3, colour.mean()) if rng.random() < 0.4 else colour


def _field(rng: np.random.Generator, grain: int, strength: float) -> np.ndarray:
    """(SCENE, SCENE, 3): smooth noise; ``grain`` in pixels, ``strength`` a standard deviation."""
    coarse = rng.normal(0, 1, (SCENE // grain + 2, SCENE // grain + 2, 3)).astype(np.float32)
    return cv2.resize(coarse, (SCENE, SCENE), interpolation=cv2.INTER_CUBIC) * strength


def _blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), sigma)


def batch(ring: Ring, step: int, device: Device) -> tuple[torch.Tensor, ...]:
    """Inputs of the network, alpha (B, 1, H, W), and how much each pixel's error counts."""
    rng = np.random.default_rng([23, step])
    rows = ring.take(BATCH, rng)
    pictures, places = rows["painted"].clone(), rows["place"].clone()
    counts = torch.ones(BATCH, device=device.type)
    counts[rows["timestep"] > MUCH_NOISE] = 0.5
    for k in range(1, BATCH, 3):
        row = {name: rows[name][k].cpu().numpy() for name in ("picture", "place", "alpha", "hole")}
        pictures[k], places[k] = (device.place(torch.from_numpy(one)) for one in veiled(row, rng))
        counts[k] = 1.0
    inputs = matting.inputs_of(pictures, places, rows["skeleton"], rows["hole"])
    alpha = rows["alpha"][:, None].float() / 255
    if rng.random() < 0.5:
        inputs, alpha = inputs.flip(3), alpha.flip(3)
    edge = (alpha > 0.05) & (alpha < 0.95)
    weight = inputs[:, -1:] * torch.where(edge, NEAR_EDGE, 1.0) * counts[:, None, None, None]
    return inputs.contiguous(memory_format=torch.channels_last), alpha, weight


def train(work: Path, plan: Plan, device: Device) -> matting.MattingNetwork:
    """The trained network, in float32; goes on from ``work/matting.pt`` where it is there."""
    vae, trainee = trained_painter(work, device)
    torch.manual_seed(0)
    network = matting.MattingNetwork().to(device.type, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=TOP_RATE, weight_decay=1e-4, fused=True)
    plan.start(load_checkpoint(work / FILE, network=network, optimizer=optimizer))
    if plan.finished:
        return network
    supply = Supply(
        draw, functools.partial(painted, vae, trainee, train_unet.NoiseSchedule(device)), capacity=RING,
        chunk=CHUNK, beforehand=BEFOREHAND, each_step=EACH_STEP, step=plan.step, device=device,
    )  # fmt: skip
    running = None
    while not plan.finished:
        for group in optimizer.param_groups:
            group["lr"] = level_then_falling(plan, TOP_RATE, warm_up=50, level=0.4)
        inputs, alpha, weight = batch(supply.fill(plan.step), plan.step, device)
        with device.autocast():
            logits = network(inputs).float()
        errors = F.binary_cross_entropy_with_logits(logits, alpha, reduction="none")
        loss = (errors * weight).sum() / weight.sum()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        plan.advance()
        running = loss.detach() if running is None else running.lerp(loss.detach(), 0.02)
        if plan.step % SAVE_STEPS == 0 or plan.finished:
            log(f"matting step {plan.step}, {plan.share:.0%}  loss {running.item():.4f}")
            save_checkpoint(work / FILE, plan.counters, network=network, optimizer=optimizer)
    return network


if __name__ == "__main__":
    train_command(__doc__, train, matting.FILE, minutes=20)
