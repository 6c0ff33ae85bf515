"""The crops that the judge learns from: heads as they look after painting, whole and broken.

Whole heads come in pairs: one person in two scenes. A crop is drawn small or large, passes the VAE up to two
times, and is blurred and compressed, as painted pictures are. Files of a work folder keep them, so that a
killed run draws nothing twice.
"""

from __future__ import annotations

import functools
import io
import math
import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from benchmarks.judge import broken, reader
from benchmarks.judge.reader import BEARDS, GLASSES, PARTS, STYLES
from generation.miniature.training import samples
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.people import AGES, GENDERS, Person
from generation.models.profiles import MINIATURE

# Seeds that neither the networks nor the first reader learn from, and that no picture is asked for.
FIRST = 920_000
SECOND_SCENE = 20_000  # later than a person's first scene
CHECKED = 15_000  # from FIRST on: the seeds that are not trained on
PAIRS, BROKEN, CHUNK = 9_000, 11_000, 500
SIZES = (48, 56, 72, 88, 112, 144)  # pixels of a head's crop in a picture, from far to close

assert samples.SEEDS < FIRST and FIRST + CHECKED + SECOND_SCENE + 5_000 < scenes.HELD_OUT


def labels(person: Person, whole: dict[str, float], sure: bool = True) -> list[float]:
    """What ``train.Judge`` learns, as numbers. NaN where nobody could say; ``sure``: the head is theirs."""
    colours = [*(reader.lab(person.hair_colour) / 100), *(reader.lab(person.skin_colour) / 100)]
    if person.hair_style == "bald":
        colours[:3] = [math.nan] * 3
    kinds = [
        STYLES.index(reader.style_of(person)),
        BEARDS.index(reader.beard_of(person)),
        GLASSES.index(reader.glasses_of(person)),
        AGES.index(person.age),
        GENDERS.index(person.gender),
    ]
    known = [*colours, *map(float, kinds)]
    return [*(known if sure else [math.nan] * len(known)), *(whole[part] for part in PARTS)]


@functools.cache
def _vae():
    import torch
    from diffusers import AutoencoderTiny

    torch.set_num_threads(1)
    return AutoencoderTiny.from_pretrained(MINIATURE.inpaint_model.id, subfolder="vae").float().eval()


def through_vae(picture: Image.Image, passes: int) -> Image.Image:
    """The picture encoded and decoded ``passes`` times; its sides are multiples of 8."""
    import torch

    for _ in range(passes):
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.inference_mode():
            copy = _vae().decode(_vae().encode(pixels).latents).sample[0].clamp(-1, 1)
        picture = Image.fromarray(((copy.permute(1, 2, 0) + 1) * 127.5).round().byte().numpy())
    return picture


def aged(picture: Image.Image, rng: random.Random) -> Image.Image:
    """As a picture looks after painting: copied by the VAE, blurred, compressed."""
    passes = rng.choice((0, 0, 0, 1, 1, 2))
    picture = through_vae(picture, min(passes, picture.width // 70))  # small faces don't survive it
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.012) * picture.width))
    if rng.random() < 0.3:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=rng.randint(40, 90))
        picture = Image.open(file).convert("RGB")
    return picture


def _view(scene: scenes.Scene, rng: random.Random) -> View:
    """Around the head, a little off the middle."""
    half, (x, y) = scene.pose.head_half, scene.pose.head
    reach = reader.REACH * half * rng.uniform(0.88, 1.12)
    x, y = x + rng.uniform(-0.14, 0.14) * half, y + (rng.uniform(-0.14, 0.14) - reader.RAISED) * half
    return View(x - reach, y - reach, 2 * reach, rng.choice(SIZES))


def _crop(picture: Image.Image, rng: random.Random) -> np.ndarray:
    picture = aged(picture, rng)
    return np.asarray(reader.crop(picture, (0, 0, *picture.size)))


def draw_whole(seed: int, person: Person) -> tuple[np.ndarray, list[float]]:
    """(SIDE, SIDE, 3) uint8 and its labels: the person in scene ``seed``."""
    rng = random.Random(f"judge {seed}")
    scene = scenes.random_scene(seed, person)
    picture = scenes.draw_scene(scene, _view(scene, rng))
    return _crop(picture, rng), labels(person, dict.fromkeys(PARTS, 1.0))


def draw_broken(seed: int, kind: str | None = None) -> tuple[np.ndarray, list[float]]:
    """Likewise, of a broken face; its person's features are not sure."""
    rng = random.Random(f"broken {seed}")
    scene = scenes.random_scene(seed, people.random_person(seed))
    picture, whole = broken.KINDS[kind or rng.choice(list(broken.KINDS))](scene, _view(scene, rng), rng)
    return _crop(picture, rng), labels(scene.person, whole, sure=False)


def draw_pair(seed: int) -> list[tuple[np.ndarray, list[float]]]:
    person = people.random_person(seed)
    return [draw_whole(scene, person) for scene in (seed, seed + SECOND_SCENE)]


def _write_chunk(path: Path, kind: str, first: int, count: int) -> Path:
    """Pairs lie one after the other. Written aside and renamed: a file that exists is whole."""
    if not path.exists():
        seeds = range(first, first + count)
        drawn = [one for s in seeds for one in (draw_pair(s) if kind == "pairs" else [draw_broken(s)])]
        aside = path.with_suffix(".tmp.npz")
        np.savez(
            aside, crops=np.stack([d[0] for d in drawn]), labels=np.array([d[1] for d in drawn], np.float32)
        )
        os.replace(aside, path)
    return path


def load(work: Path, kind: str, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Crops (N, SIDE, SIDE, 3) uint8 and labels (N, L). ``kind``: "pairs", two crops a seed, or "broken"."""
    work.mkdir(parents=True, exist_ok=True)
    jobs = [
        (work / f"{kind}-{start}.npz", kind, start, min(CHUNK, first + count - start))
        for start in range(first, first + count, CHUNK)
    ]
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        chunks = [np.load(path) for path in pool.map(_write_chunk, *zip(*jobs, strict=True))]
    return np.concatenate([c["crops"] for c in chunks]), np.concatenate([c["labels"] for c in chunks])
