"""The invisible watermark: how well it is hidden, and how well it is found again: ``make bench-watermark``.

Half of the pictures are painted by the embedded models, half are parts of the photographs that come with
scikit-image, of 320 to 768 pixels. Each is marked with a reference of its own, changed in one way, and looked
for among the references of 1,000 pictures. Pictures without a mark are looked for in the same way. Half of
these are drawn scenes, since painting 500 takes too long.
References are random, so the bound on false alarms needs no pictures. It is checked with very many random
references against what the pictures without a mark show.
"""

from __future__ import annotations

import argparse
import io
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import numpy as np
from PIL import Image
from scipy.stats import binomtest
from skimage import data

from benchmarks.measures import psnr
from generation.marking import watermark
from generation.miniature.world import scenes
from generation.miniature.world.pen import View

PHOTOGRAPHS = ("astronaut", "cat", "coffee", "rocket", "hubble_deep_field", "retina", "immunohistochemistry")
KINDS = ("pictures painted by the embedded models", "parts of photographs")  # in turn
FIRST_REQUEST = 2_000  # of the painted pictures: after those of the other benchmarks
KEPT = 1_000  # pictures whose references a mark is looked for among
TRIED = 1_000_000  # random references for the check of the bound


def as_jpeg(picture: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


def scaled(picture: Image.Image, factor: float) -> Image.Image:
    return picture.resize([round(side * factor) for side in picture.size], Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    """``share`` of both sides, not from the middle."""
    width, height = (round(side * share) for side in picture.size)
    left, top = (picture.width - width) // 3, (picture.height - height) // 3
    return picture.crop((left, top, left + width, top + height))


def screenshot(picture: Image.Image) -> Image.Image:
    """With a border, a little smaller, and as JPEG."""
    shot = Image.new("RGB", [round(side * 1.15) for side in picture.size], "white")
    shot.paste(picture, [round(side * 0.07) for side in picture.size])
    return as_jpeg(scaled(shot, 0.8), 80)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "unchanged": lambda picture: picture,
    "JPEG 95": lambda picture: as_jpeg(picture, 95),
    "JPEG 75": lambda picture: as_jpeg(picture, 75),
    "JPEG 50": lambda picture: as_jpeg(picture, 50),
    "scaled to 0.5": lambda picture: scaled(picture, 0.5),
    "scaled to 0.75": lambda picture: scaled(picture, 0.75),
    "scaled to 1.5": lambda picture: scaled(picture, 1.5),
    "scaled to 2": lambda picture: scaled(picture, 2),
    "cropped to 0.8 x 0.8": lambda picture: cropped(picture, 0.8),
    "cropped to 0.6 x 0.6": lambda picture: cropped(picture, 0.6),
    "half size, JPEG 75": lambda picture: as_jpeg(scaled(picture, 0.5), 75),
    "screenshot, JPEG 80": screenshot,
}


def pictures(number: int, work: Path):
    """A painted picture and a part of a photograph in turn."""
    from benchmarks import quality  # imports torch, which no test of the watermark needs

    for index in range(number):
        if index % 2:
            yield part_of_photograph(random.Random(f"watermark {index}"))
        else:
            scene = quality.held_out_scene(FIRST_REQUEST + index // 2)
            yield quality.paint(work, str(index), scene, seed=index).last


def unmarked_pictures(number: int):
    """A drawn scene and a part of a photograph in turn."""
    for index in range(100_000, 100_000 + number):
        rng = random.Random(f"watermark {index}")
        if index % 2:
            yield part_of_photograph(rng)
        else:
            scene = scenes.random_scene(scenes.HELD_OUT + index)
            yield scenes.draw_scene(scene, View(pixels=rng.choice((256, 512))))


def part_of_photograph(rng: random.Random) -> Image.Image:
    whole = Image.fromarray(getattr(data, rng.choice(PHOTOGRAPHS))()).convert("RGB")
    width, height = (round(side * rng.uniform(0.45, 1)) for side in whole.size)
    left, top = rng.randint(0, whole.width - width), rng.randint(0, whole.height - height)
    part = whole.crop((left, top, left + width, top + height))
    return scaled(part, rng.choice((320, 512, 768)) / max(part.size))


def look_for(picture: Image.Image, place: int, references: list[int]) -> tuple[bool, float]:
    """Whether the mark is found, and the share of bits that are right at the best scale tried."""
    [signs], right = watermark.signs([references[place]]), 0.0
    for numbers in watermark.read(picture):
        right = max(right, float(np.mean(np.sign(numbers) == signs)))
        if watermark.find([numbers], references) == place:
            return True, right
    return False, right


def share(count: int, number: int) -> str:
    low, high = binomtest(count, number).proportion_ci(method="wilson")
    return f"{count:4} of {number:4}  {100 * count / number:5.1f} %  ({100 * low:.1f} to {100 * high:.1f})"


@dataclass
class Measured:
    """Of all pictures of one kind."""

    losses: list[float] = field(default_factory=list)
    found: dict[str, list[tuple[bool, float]]] = field(default_factory=lambda: {name: [] for name in CHANGES})

    def print(self, kind: str) -> None:
        number = len(self.losses)
        error = 1.96 * np.std(self.losses) / number**0.5
        print(
            f"{number} {kind}: PSNR {fmean(self.losses):.1f} +- {error:.1f} dB, lowest {min(self.losses):.1f}"
        )
        print(f"{'change':22} {'found (95 %)':42} bits right")
        for name, results in self.found.items():
            count, bits = sum(was for was, _ in results), fmean(right for _, right in results)
            print(f"{name:22} {share(count, number):42} {100 * bits:5.1f} %", flush=True)


def measure_marked(number: int, work: Path) -> None:
    rng = random.Random("references")
    references = [rng.getrandbits(watermark.BITS) for _ in range(KEPT)]
    measured, seconds = {kind: Measured() for kind in KINDS}, []
    for place, picture in enumerate(pictures(number, work)):
        began = time.perf_counter()
        marked = watermark.put(picture, references[place])
        seconds.append(time.perf_counter() - began)
        one = measured[KINDS[place % 2]]
        one.losses.append(psnr(marked, picture))
        for name, change in CHANGES.items():
            one.found[name].append(look_for(change(marked), place, references))
        if (place + 1) % 10 == 0 or place + 1 == number:
            print(f"\nto mark one: median {np.median(seconds):.2f} s, longest {max(seconds):.2f} s")
            for kind, of_kind in measured.items():
                of_kind.print(kind)


def measure_unmarked(number: int) -> None:
    """At one scale: each further one is one more comparison, and the bound counts them all."""
    rng = np.random.default_rng(5)
    references = [int(one) for one in rng.integers(0, 2**63, KEPT, dtype=np.uint64)]
    alarms, likely = 0, []
    for count, picture in enumerate(unmarked_pictures(number), start=1):
        numbers = np.array(next(watermark.read(picture)))
        alarms += watermark.find([numbers], references) is not None
        signs = rng.choice((-1.0, 1.0), (TRIED // number, watermark.BITS))
        best = np.sort(signs @ numbers)[-max(20, TRIED // number // 50) :]  # the bound is above their rate
        likely += [watermark.chance(float(one), numbers) for one in best]
        if count % 100 == 0 or count == number:
            print(f"false alarms in pictures without a mark: {share(alarms, count)}", flush=True)
    pairs = number * (TRIED // number)
    for bound in (1e-2, 1e-3, 1e-4):
        seen = sum(one < bound for one in likely) / pairs
        print(f"random references with a bound below {bound:g}: {seen:.2g} of all {pairs}")


def main() -> None:
    parser = argparse.ArgumentParser(description="How well the watermark is hidden and found.")
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--unmarked", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="cartolina-watermark-") as work:
        measure_marked(args.pictures, Path(work))
    measure_unmarked(args.unmarked)


if __name__ == "__main__":
    main()
