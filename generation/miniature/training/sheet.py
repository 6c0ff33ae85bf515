"""A sheet of held-out requests as the networks paint them: to look at while they learn, and to measure."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import numpy as np
import torch
from diffusers import DPMSolverMultistepScheduler
from PIL import Image

from generation.miniature.training import captions, family, samples
from generation.miniature.training.latents import VAE_FACTOR
from generation.miniature.training.trainee import Trainee
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import SCENE, View


@contextlib.contextmanager
def moving_average(trainee: Trainee):
    """The networks with their averaged weights."""
    trainee.ema.store(trainee.networks.parameters())
    trainee.ema.copy_to(trainee.networks.parameters())
    try:
        yield
    finally:
        trainee.ema.restore(trainee.networks.parameters())


def held_out_scene(index: int) -> scenes.Scene:
    seed = scenes.HELD_OUT + index
    return scenes.random_scene(seed, people.random_person(seed), ("CLS", "MES", "FUS")[index % 3])


def requests(close: bool, count: int) -> list[dict]:
    """Held-out requests, with the fields of a sample; ``asked`` is the picture as it should become."""
    found = []
    for index in range(count):
        scene, rng = held_out_scene(index), random.Random(index)
        view = samples.close_up_view(scene, 0.5) if close else View()
        hole = scenes.head_mask(scene, view) if close else scenes.subject_mask(scene)
        asked, inside = np.asarray(scenes.draw_scene(scene, view)), np.asarray(hole) > 127
        words = [f"face of {captions.CLASS_WORD}"] if close else []
        words += [f"{scene.person.age} {scene.person.gender}"]
        words += (
            captions.features(scene.person)[: captions.FEATURES_SAID]
            if close
            else captions.looks(scene.person)
        )
        if not close:
            words += [captions.action_of(scene), captions.clothes(scene, rng), scene.place.description]
        found.append(
            {
                "asked": asked,
                "around": np.where(inside[..., None], np.uint8(127), asked),
                "hole": inside,
                "caption": ", ".join(words),
                "skeleton": samples.skeleton_picture(scene),
            }
        )
    return found


@torch.no_grad()
def paint(trainee: Trainee, vae, asked: list[dict], close: bool, steps: int = 16, guidance: float = 2.0):
    """(N, 256, 256, 3) uint8: the requests painted with the networks as they are."""
    device, count = trainee.device, len(asked)
    pictures = (
        torch.from_numpy(np.stack([a["around"] for a in asked])).permute(0, 3, 1, 2).float() / 127.5 - 1
    )
    holes = np.stack([a["hole"] for a in asked])[:, None, ::VAE_FACTOR, ::VAE_FACTOR]
    extra = torch.cat([device.place(torch.from_numpy(holes)).float(), vae.encoder(device.place(pictures))], 1)
    skeletons = device.place(torch.from_numpy(np.stack([a["skeleton"] for a in asked])).float() / 255)
    words = trainee.embed(device.place(trainee.tokens([""] * count + [a["caption"] for a in asked])))
    side = SCENE // VAE_FACTOR
    latents = torch.randn(count, 4, side, side, generator=torch.Generator().manual_seed(5))
    latents = device.place(latents)
    scheduler = DPMSolverMultistepScheduler(**family.SCHEDULER)
    scheduler.set_timesteps(steps, device=device.type)
    posed = 0 if close else 2 * count
    for moment in scheduler.timesteps:
        with device.autocast():
            v = trainee.predict(
                torch.cat([latents] * 2), torch.cat([extra] * 2), moment.repeat(2 * count), words,
                torch.cat([skeletons] * 2)[:posed],
            ).float()  # fmt: skip
        without, with_words = v.chunk(2)
        latents = scheduler.step(without + guidance * (with_words - without), moment, latents).prev_sample
    painted = vae.decoder(latents).clamp(-1, 1).add(1).mul(127.5).round().byte()
    return painted.permute(0, 2, 3, 1).cpu().numpy()


def draw_sheet(trainee: Trainee, vae, path: Path, count: int = 8) -> None:
    """Four rows: scenes as asked, as painted; heads as asked, as painted."""
    rows = []
    with moving_average(trainee):
        for close in (False, True):
            asked = requests(close, count)
            rows += [np.concatenate([a["asked"] for a in asked], 1)]
            rows += [np.concatenate(list(paint(trainee, vae, asked, close)), 1)]
    Image.fromarray(np.concatenate(rows)).save(path)
