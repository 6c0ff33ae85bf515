"""Trains the miniature's VAE on drawn scenes: ``python -m generation.miniature.training.train_vae WORK``.

Crops of scenes and of close-ups; half of the scene crops lie around the face. The loss is L1 + 2 x L2, with
noise on the latents (so that the decoder forgives what a UNet gets slightly wrong) and a small pull of each
latent channel to mean 0 and deviation 1 (so that the scaling factor is 1). Resumable: run it again.

``--refine`` goes on with the decoder alone, so that latents encoded before stay good. Half of its crops are
blurred and shifted in colour, as a picture is between the steps: a decoder that has seen clean drawings only
pulls other colours towards those of its drawings, a little more with each step that a picture passes.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np
import torch

from generation.miniature.training import family
from generation.miniature.training.checkpoints import load_checkpoint, log, restart_safe_save, start
from generation.miniature.world import scenes
from generation.miniature.world.pen import SCENE, View

SCENES, CLOSE_UPS = 2400, 1600
CROP, BATCH = 96, 12
REFINED = "vae-refined.pt"


def close_up_view(scene: scenes.Scene, share: float) -> View:
    """A square inside the scene around the head, the head's height being ``share`` of its side."""
    side = min(SCENE, 2 * scene.pose.head_half / share)
    x, y = scene.pose.head
    left, top = (min(max(0.0, c - side / 2), SCENE - side) for c in (x, y))
    return View(left, top, side, SCENE)


def draw_pictures(work: Path) -> tuple[np.ndarray, np.ndarray]:
    """(N, 256, 256, 3) uint8 pictures and the (N, 2) places of their heads in pixels; drawn once."""
    path, heads_path = work / "vae-pictures.npy", work / "vae-heads.npy"
    if not heads_path.exists():
        pictures = np.lib.format.open_memmap(path, "w+", np.uint8, (SCENES + CLOSE_UPS, SCENE, SCENE, 3))
        heads = np.zeros((len(pictures), 2), np.float32)
        for k in range(len(pictures)):
            scene = scenes.random_scene(k)
            view = View() if k < SCENES else close_up_view(scene, 0.3 + 0.4 * ((k * 37) % 100) / 100)
            pictures[k] = np.asarray(scenes.draw_scene(scene, view))
            heads[k] = [
                (c - o) * view.scale for c, o in zip(scene.pose.head, (view.left, view.top), strict=True)
            ]
            if k % 500 == 0:
                log(f"drawing picture {k} of {len(pictures)}")
        np.save(heads_path, heads)
    return np.load(path, mmap_mode="r"), np.load(heads_path)


def crops(pictures: np.ndarray, heads: np.ndarray, step: int) -> torch.Tensor:
    """The batch of this step, (BATCH, 3, CROP, CROP) in -1..1; every other crop lies around the head."""
    rng = np.random.default_rng([11, step])
    batch = np.empty((BATCH, CROP, CROP, 3), np.uint8)
    for k in range(BATCH):
        index = rng.integers(len(pictures))
        corner = rng.integers(0, SCENE - CROP + 1, 2)
        if k % 2 == 0:
            corner = np.clip(heads[index] - CROP / 2 + rng.integers(-24, 25, 2), 0, SCENE - CROP).astype(int)
        x, y = corner
        batch[k] = pictures[index, y : y + CROP, x : x + CROP]
    return torch.from_numpy(batch).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def half_painted(picture: torch.Tensor, step: int) -> torch.Tensor:
    """The batch with every other two crops blurred and their colours mixed with a colour of their own."""
    rng = np.random.default_rng([12, step])
    picture = picture.clone()
    for k in range(len(picture)):
        if k % 4 >= 2:
            small = CROP // int(rng.integers(1, 4))
            scaled = torch.nn.functional.interpolate(picture[k : k + 1], small, mode="area")
            blurred = torch.nn.functional.interpolate(scaled, CROP, mode="bicubic")[0]
            colour = torch.from_numpy(rng.uniform(-1, 1, (3, 1, 1)).astype(np.float32))
            share = float(rng.uniform(0, 0.6))
            picture[k] = ((1 - share) * blurred + share * colour).clamp(-1, 1)
    return picture


@torch.no_grad()
def psnr_on_held_out(vae, count: int = 24) -> tuple[float, float]:
    """PSNR in dB on whole held-out scenes and on close-ups of their faces."""
    result = []
    for close in (False, True):
        errors = []
        for k in range(count):
            scene = scenes.random_scene(scenes.HELD_OUT + k)
            view = close_up_view(scene, 0.5) if close else View()
            picture = (
                torch.from_numpy(np.array(scenes.draw_scene(scene, view))).permute(2, 0, 1)[None].float()
                / 127.5
                - 1
            )
            copy = vae.decode(vae.encode(picture).latents).sample.clamp(-1, 1)
            errors.append(((picture - copy) / 2).square().mean().item())
        result.append(-10 * math.log10(sum(errors) / len(errors)))
    return result[0], result[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--refine", action="store_true", help="the decoder alone, after the first training")
    args = parser.parse_args()
    start(args.work)
    pictures, heads = draw_pictures(args.work)
    vae = family.build_vae().to(memory_format=torch.channels_last)
    checkpoint = args.work / "vae.pt"
    if args.refine:
        if load_checkpoint(checkpoint, vae=vae) is None:
            raise SystemExit(f"{checkpoint} is not there: run this without --refine first")
        vae.encoder.requires_grad_(False)
        checkpoint = args.work / REFINED
    optimizer = torch.optim.AdamW(vae.parameters(), lr=args.learning_rate, weight_decay=1e-4)
    step = load_checkpoint(checkpoint, vae=vae, optimizer=optimizer) or 0
    begun, running, saved = time.time(), 0.0, time.time()
    while step < args.steps:
        for group in optimizer.param_groups:
            warm = min(1.0, (step + 1) / 100)
            group["lr"] = args.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / args.steps)) + 1e-5
        picture = crops(pictures, heads, step)
        if args.refine:
            picture = half_painted(picture, step)
        picture = picture.to(memory_format=torch.channels_last)
        latents = vae.encoder(picture)
        noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(step))
        copy = vae.decoder(latents + (0.02 if args.refine else 0.05) * noise)
        error = copy - picture
        spread = latents.permute(1, 0, 2, 3).flatten(1)
        pull = spread.mean(1).square().mean() + (spread.std(1) - 1).square().mean()
        loss = error.abs().mean() + 2 * error.square().mean() + 0.01 * pull
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimizer.step()
        step += 1
        running = loss.item() if not running else 0.98 * running + 0.02 * loss.item()
        if step % 100 == 0 or step == args.steps:
            rate = (time.time() - begun) / 100
            begun = time.time()
            log(f"vae step {step} of {args.steps}  loss {running:.4f}  {rate:.2f} s a step")
        if step % 500 == 0 or step == args.steps:
            whole, faces = psnr_on_held_out(vae)
            log(f"vae step {step}  held-out PSNR {whole:.2f} dB, faces {faces:.2f} dB")
        if time.time() - saved > 60 or step == args.steps:
            restart_safe_save(checkpoint, step, vae=vae, optimizer=optimizer)
            saved = time.time()


if __name__ == "__main__":
    main()
