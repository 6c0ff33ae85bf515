"""Trains the reader of drawn faces: ``python -m generation.miniature.training.train_reader``.

Ten minutes on two cores.

A convolutional network learns a person's features from crops of drawn heads, sharp and blurred, large and
small. Its residuals on crops not trained on give their covariance; features divided by its root are the
embedding, so that Euclidean distance counts each feature by how well it can be read (Mahalanobis 1936).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import ImageFilter
from torch import nn

from generation.miniature.training import device, reader
from generation.miniature.training.checkpoints import log
from generation.miniature.training.device import Device
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import View
from generation.miniature.world.people import AGES, GENDERS, HAIR_STYLES, Person

CROPS, CHECKED = 14_000, 1_500
FIRST_CHECKED = 900_000  # seeds of the crops that are not trained on; below scenes.HELD_OUT
EPOCHS, BATCH = 24, 64
_PLAIN = ("hair_volume", "face_width", "jaw", "eye_size", "eye_spacing", "iris")
_PLAIN += ("brow_weight", "brow_tilt", "nose_length", "nose_width", "mouth_width", "lips")


def features(person: Person) -> list[float]:
    """What tells one person from another, each number about 0..1. Age and gender are not among them."""
    values = [c / 255 for c in (*person.skin_colour, *person.hair_colour)]
    values += [float(person.hair_style == style) for style in HAIR_STYLES]
    values += [getattr(person, name) for name in _PLAIN]
    values += [float(0 < person.beard < 0.5), float(person.beard >= 0.5)]
    values += [float(0 < person.glasses < 0.5), float(person.glasses >= 0.5)]
    return [*values, float(person.freckles > 0)]


def draw_crop(seed: int, person: Person | None = None) -> tuple[np.ndarray, Person]:
    """A head as the reader may meet it, (3, SIDE, SIDE) in 0..1: off the middle, small, blurred, tinted."""
    rng = random.Random(f"crop {seed}")
    scene = scenes.random_scene(seed, person, rng.choice(("CLS", "MES")))
    half, (x, y) = scene.pose.head_half, scene.pose.head
    reach = reader.REACH * half * rng.uniform(0.86, 1.18)
    x, y = x + rng.uniform(-0.14, 0.14) * half, y + rng.uniform(-0.14, 0.14) * half
    pixels = round(rng.choice((22, 30, 44, 64, 96)) * rng.uniform(0.85, 1.15))
    picture = scenes.draw_scene(scene, View(x - reach, y - reach, 2 * reach, pixels))
    picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.014) * pixels))
    crop = np.asarray(reader.crop(picture, (0, 0, pixels, pixels)), np.float32) / 255
    crop = crop * rng.uniform(0.93, 1.07) + np.array([rng.uniform(-0.03, 0.03) for _ in range(3)])
    crop += np.random.default_rng(seed).normal(0, rng.uniform(0, 0.03), crop.shape)
    return crop.transpose(2, 0, 1).clip(0, 1).astype(np.float32), scene.person


class Network(nn.Module):
    """(B, 3, 64, 64) to ``features``, logits of AGES and of GENDERS; then the embedding."""

    def __init__(self, count: int):
        super().__init__()
        layers, before = [], 3
        for width in (24, 48, 64, 96):
            layers += [nn.Conv2d(before, width, 3, padding=1, stride=2), nn.BatchNorm2d(width), nn.ReLU()]
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Dropout(0.2), nn.Linear(before * 16, 128), nn.ReLU()
        )
        self.features, self.ages, self.genders = nn.Linear(128, count), nn.Linear(128, 3), nn.Linear(128, 2)
        self.register_buffer("whitening", torch.eye(count))

    def forward(self, crops):
        seen = self.body(crops)
        return self.features(seen) @ self.whitening, self.ages(seen), self.genders(seen)


def load_crops(first: int, count: int, device: Device) -> tuple[torch.Tensor, ...]:
    """Crops, features, ages and genders of ``count`` seeds, on the device; drawn by all cores."""
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        drawn = list(pool.map(draw_crop, range(first, first + count), chunksize=64))
    people_drawn = [person for _, person in drawn]
    data = (
        torch.from_numpy(np.stack([crop for crop, _ in drawn])),
        torch.tensor([features(person) for person in people_drawn]),
        torch.tensor([AGES.index(person.age) for person in people_drawn]),
        torch.tensor([GENDERS.index(person.gender) for person in people_drawn]),
    )
    return tuple(device.place(tensor) for tensor in data)


def train(network: Network, data: tuple[torch.Tensor, ...]) -> None:
    crops, wanted, ages, genders = data
    spread = wanted.std(0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=2e-2)
    steps = EPOCHS * (len(crops) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for epoch in range(EPOCHS):
        order, total = torch.randperm(len(crops)).to(crops.device), 0.0
        for k in range(len(crops) // BATCH):
            rows = order[k * BATCH : (k + 1) * BATCH]
            read, age, gender = network(crops[rows])
            loss = ((read - wanted[rows]) / spread).square().mean()
            loss = loss + 0.3 * nn.functional.cross_entropy(age, ages[rows])
            loss = loss + 0.3 * nn.functional.cross_entropy(gender, genders[rows])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        log(f"reader epoch {epoch + 1} of {EPOCHS}  loss {float(total) / (k + 1):.4f}")


@torch.no_grad()
def whiten(network: Network, data: tuple[torch.Tensor, ...]) -> None:
    """Set the last layer so that the residuals on ``data`` have the unit matrix as their covariance."""
    crops, wanted, *_ = data
    residuals = network(crops)[0] - wanted
    covariance = torch.cov(residuals.T) + 1e-4 * torch.eye(wanted.shape[1], device=residuals.device)
    network.whitening.copy_(torch.linalg.inv(torch.linalg.cholesky(covariance)).T)


@torch.no_grad()
def measure(network: Network, data: tuple[torch.Tensor, ...], rounds: int = 300) -> dict[str, float]:
    """Shares that are right: age and gender of ``data``, and a person among 20 by another drawing of each."""
    _, ages, genders = network(data[0])
    right = {"age": (ages.argmax(1) == data[2]).float(), "gender": (genders.argmax(1) == data[3]).float()}
    seeds = range(FIRST_CHECKED + CHECKED, FIRST_CHECKED + CHECKED + 200)
    crowd = [people.random_person(seed) for seed in seeds]
    pairs = []
    for shift in (0, 1000):
        crops = [draw_crop(seed + shift, person)[0] for seed, person in zip(seeds, crowd, strict=True)]
        pairs.append(network(torch.from_numpy(np.stack(crops)).to(data[0].device))[0])
    rng, hits = random.Random(0), 0
    for _ in range(rounds):
        chosen = rng.sample(range(200), 20)
        hits += int((pairs[0][chosen] - pairs[1][chosen[0]]).norm(dim=1).argmin() == 0)
    return {name: round(values.mean().item(), 3) for name, values in right.items()} | {
        "identity": hits / rounds
    }


def export(network: Network, path: Path, accuracy: dict[str, float]) -> None:
    crops = torch.zeros(2, 3, reader.SIDE, reader.SIDE)
    names = ["embeddings", "ages", "genders"]
    batch = {"crops": {0: torch.export.Dim("batch")}}
    torch.onnx.export(
        network, (crops,), path, input_names=["crops"], output_names=names, dynamic_shapes=batch,
        dynamo=True, external_data=False, verbose=False,
    )  # fmt: skip
    model = onnx.load(path)
    for part in (model.graph, *model.graph.node, *model.graph.value_info):
        del part.metadata_props[:]  # paths and stack traces of the machine that trained
    onnx.helper.set_model_props(model, {"accuracy": json.dumps(accuracy)})
    onnx.save(model, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, nargs="?", default=reader.FILE, help="where the ONNX file goes")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="instead of the fastest that is there")
    args = parser.parse_args()
    chosen = device.choose(args.device)
    data = load_crops(0, CROPS, chosen)
    log("crops drawn")
    network = Network(data[1].shape[1]).to(chosen.type)
    train(network, data)
    network.eval()
    checked = load_crops(FIRST_CHECKED, CHECKED, chosen)
    assert FIRST_CHECKED + 10 * CHECKED < scenes.HELD_OUT
    whiten(network, checked)
    accuracy = measure(network, load_crops(FIRST_CHECKED + 5_000, CHECKED, chosen))
    export(network.cpu(), args.file, accuracy)
    log(f"{args.file}: {args.file.stat().st_size / 1e6:.1f} MB, right on what it never saw: {accuracy}")


if __name__ == "__main__":
    main()
