"""Trains the reader of hair, beard and glasses: ``python -m generation.miniature.training.train_looks``.

Writes detector_models/looks.npz. Prints how many of the photos of people that it was not trained on are read
right, and how many of those people are from five photos, seen by the detector of faces as in the photo gate.
Minutes on one core.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import torch
from PIL import Image, ImageEnhance, ImageFilter
from torch import nn

from generation.miniature import demo_content, detectors, looks
from generation.miniature.training.captions import HAIRS
from generation.miniature.training.samples import SEEDS
from generation.miniature.training.train_detectors import compressed
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import SCENE, View
from generation.miniature.world.people import Person
from generation.vision.looks import VALUES, Looks, settled

FIRST = 600_000  # seeds of the people that it learns from
CHECKED = SEEDS + 10_000  # and of those that it is checked with
HIDDEN, BATCH = 96, 128
UNKNOWN = -100  # of a label that doesn't count: the colour of a bald person's hair
# Standard deviations, a little wider than the detector's: middle and size in half heads, turn in degrees.
MIDDLE_OFF, SIZE_OFF, TURN_OFF = 0.03, 0.07, 0.5
WIDTHS = [len(words) for words in VALUES.values()]


def looks_of(person: Person) -> Looks:
    """The truth, in the words of ``VALUES``. A bald person's hair has no colour."""
    hair = len(HAIRS) if person.age == "old" else round(person.hair_tone * (len(HAIRS) - 1))
    beard, glasses = (0 if not one else 1 if one < 0.5 else 2 for one in (person.beard, person.glasses))
    found = {} if person.hair_style == "bald" else {"hair": VALUES["hair"][hair]}
    found |= {"style": person.hair_style, "beard": VALUES["beard"][beard]}
    return found | {"glasses": VALUES["glasses"][glasses]}


def labels_of(person: Person) -> list[int]:
    """For each name in ``VALUES`` the place of the true word, or UNKNOWN."""
    truth = looks_of(person)
    return [words.index(truth[name]) if name in truth else UNKNOWN for name, words in VALUES.items()]


def as_sent(rng: random.Random, picture: Image.Image) -> Image.Image:
    """As a camera and an app leave it. In other light, a colour of hair looks like its neighbour."""
    if rng.random() < 0.4:
        picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.92, 1.06))
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.5:
        picture = compressed(picture, rng.randint(50, 95))
    return picture


def sample(seed: int) -> tuple[np.ndarray, list[int]]:
    """A head as the detector would cut it out of a portrait, and its labels."""
    if seed >= SEEDS:
        raise ValueError(f"seed {seed}: those from {SEEDS} on are held out for measuring")
    rng, person = random.Random(f"looks {seed}"), people.random_person(seed)
    scene = scenes.random_scene(seed, person, "CLS")
    half, (x, y) = scene.pose.head_half, scene.pose.head
    side = 2 * rng.uniform(1.9, 2.8) * half
    corner = (x + rng.uniform(-0.3, 0.3) * half - side / 2, y + rng.uniform(0, 0.45) * half - side / 2)
    left, top = (min(max(0.0, edge), SCENE - side) for edge in corner)
    view = View(left, top, side, rng.choice((128, 192, 256)))
    picture = scenes.draw_scene(scene, view)
    if rng.random() < 0.5:
        picture = as_sent(rng, picture)
    half *= view.scale
    middle = ((x - left) * view.scale, (y - top) * view.scale)
    middle = tuple(along + rng.gauss(0, MIDDLE_OFF) * half for along in middle)
    turn = np.radians(scene.pose.tilt + rng.gauss(0, TURN_OFF))
    return looks.chip(picture, middle, half * rng.gauss(1.0, SIZE_OFF), turn), labels_of(person)


def train(count: int, epochs: int) -> nn.Sequential:
    torch.manual_seed(0)
    chips, labels = zip(*(sample(seed) for seed in range(FIRST, FIRST + count)), strict=True)
    chips, labels = torch.tensor(np.stack(chips), dtype=torch.float32).flatten(1), torch.tensor(labels)
    network = nn.Sequential(
        nn.Linear(chips.shape[1], HIDDEN), nn.ReLU(), nn.Dropout(0.1), nn.Linear(HIDDEN, sum(WIDTHS))
    )
    steps = epochs * count // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(steps):
        chosen = torch.randint(count, (BATCH,))
        noise = 0.01 * torch.randn(BATCH, chips.shape[1])
        loss = loss_of(network(chips[chosen] + noise), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def loss_of(values: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return sum(
        nn.functional.cross_entropy(part, label, ignore_index=UNKNOWN)
        for part, label in zip(values.split(WIDTHS, 1), labels.unbind(1), strict=True)
    )


def save(network: nn.Sequential) -> None:
    state = {name: tensor.numpy().astype(np.float16) for name, tensor in network.state_dict().items()}
    arrays = {"in": state["0.weight"].T, "in_bias": state["0.bias"]}
    np.savez_compressed(looks.FILE, **arrays, out=state["3.weight"].T, out_bias=state["3.bias"])


def readings_of(person: Person, seed: int) -> list[Looks]:
    """Of each of five photos in which a face is found."""
    photos = [(photo, detectors.find_faces(photo)) for photo in demo_content.photos_of(person, seed)]
    return [detectors.read_looks(photo, faces[0]) for photo, faces in photos if faces]


def accuracy(count: int) -> dict[str, tuple[float, float]]:
    """Of the file that is kept: the shares of 0..1 that are right, of the photos and of the people.

    A value that isn't sure counts as wrong.
    """
    right = {name: ([], []) for name in VALUES}
    for seed in range(CHECKED, CHECKED + count):
        person = people.random_person(seed)
        readings = readings_of(person, seed)
        whole = settled(readings)
        for name, truth in looks_of(person).items():
            right[name][0].extend(reading.get(name) == truth for reading in readings)
            right[name][1].append(whole.get(name, "none") == truth)
    return {
        name: (float(np.mean(photos)), float(np.mean(everybody)))
        for name, (photos, everybody) in right.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=24_000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--people", type=int, default=200, help="to check it with")
    args = parser.parse_args()
    torch.set_num_threads(1)  # so small a network only waits for a second one
    save(train(args.pictures, args.epochs))
    looks.network.cache_clear()
    for name, (photos, everybody) in accuracy(args.people).items():
        print(f"{name:<8} right in {photos:.3f} of the photos, of {everybody:.3f} of the people")


if __name__ == "__main__":
    main()
