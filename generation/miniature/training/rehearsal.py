"""Tries the UNet's training step on a GPU before its turn: is ``torch.compile`` worth it, and does it work?

``training.all`` starts it beside the VAE's training. Compiling takes a minute or two of the CPU's time; what
it leaves in PyTorch's cache makes the real start a matter of seconds. Writes ``WORK/rehearsal.json``: seconds
of a step as it is and compiled.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

from generation.miniature.training import device, train_unet
from generation.miniature.training.checkpoints import log
from generation.miniature.training.latents import LATENT_CHANNELS, VAE_FACTOR
from generation.miniature.training.trainee import Trainee
from generation.miniature.world.pen import SCENE

FILE = "rehearsal.json"


def random_batch(counts: tuple[int, int, int], chosen: device.Device) -> dict[str, torch.Tensor]:
    """A batch of the shapes and types that ``train_unet.joined_batch`` makes."""
    side, count = SCENE // VAE_FACTOR, sum(counts)
    latents = torch.randn(count, LATENT_CHANNELS, side, side, device=chosen.type).half()
    return {
        "latents": latents,
        "around": latents,
        "hole": torch.ones(count, 1, side, side, dtype=torch.bool, device=chosen.type),
        "weight": torch.ones(count, 1, side, side, dtype=torch.float16, device=chosen.type),
        "tokens": torch.zeros(count, 77, dtype=torch.int16, device=chosen.type),
        "skeletons": torch.rand(counts[0], 3, SCENE, SCENE, device=chosen.type),
    }


def seconds_of_a_step(predict, trainee: Trainee, batch: dict, plain: int, steps: int = 5) -> float:
    schedule = train_unet.NoiseSchedule(trainee.device)
    for number in range(3 + steps):
        if number == 3:  # the first ones compile and choose their kernels
            _wait(trainee.device)
            began = time.monotonic()
        train_unet.training_loss(predict, trainee, schedule, batch, number, plain).backward()
        trainee.optimizer.zero_grad(set_to_none=True)
    _wait(trainee.device)
    return (time.monotonic() - began) / steps


def _wait(chosen: device.Device) -> None:
    if chosen.is_gpu:
        torch.cuda.synchronize()


def main() -> None:
    work = Path(sys.argv[1])
    chosen = device.choose()
    trainee = Trainee(work / "rehearsal", chosen)
    counts = train_unet.BATCH[chosen.type]
    batch = random_batch(counts, chosen)
    seconds = {"eager": seconds_of_a_step(trainee.predict, trainee, batch, counts[2])}
    seconds["compiled"] = seconds_of_a_step(
        torch.compile(trainee.predict, dynamic=False), trainee, batch, counts[2]
    )
    log(f"rehearsal: {seconds}")
    (work / FILE).write_text(json.dumps(seconds))


if __name__ == "__main__":
    main()
