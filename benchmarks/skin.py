"""Does the body that is painted fit the visitor's skin? ``python -m benchmarks.skin --people 24``.

Drawn people that nothing was trained on: their photos are looked at as the photo gate does, and the pose
step paints each once without and once with the word for their skin's tone. Read is the colour difference
(CIE 2000) of the painted neck to the neck of the person as drawn, which a perfect LoRA's face would fit.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import color

from benchmarks.quality import seen_in_photos
from benchmarks.settings import Easel
from generation.miniature.world import scenes
from generation.miniature.world.scenes import HELD_OUT, Scene
from generation.models import hardware


def neck(picture: Image.Image, scene: Scene) -> np.ndarray:
    """CIE L*a*b*, the median just below the chin."""
    return _median(picture, scene, [(0.0, 1.38)], 0.14, 0.07)


def cheeks(picture: Image.Image, scene: Scene) -> np.ndarray:
    """CIE L*a*b*, the median beside the nose."""
    return _median(picture, scene, [(-0.42, 0.22), (0.42, 0.22)], 0.12, 0.12)


def _median(picture: Image.Image, scene: Scene, middles: list, across: float, down: float) -> np.ndarray:
    """Of boxes around places of the head; all lengths in half heads."""
    half, (x, y) = scene.pose.head_half, scene.pose.head
    across, down = max(1.0, across * half), max(0.5, down * half)
    parts = []
    for dx, dy in middles:
        cx, cy = x + dx * half, y + dy * half
        box = tuple(round(v) for v in (cx - across, cy - down, cx + across, cy + down + 1))
        parts.append(np.asarray(picture.crop(box)).reshape(-1, 3) / 255)
    return np.median(color.rgb2lab(np.concatenate(parts)), axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=12)
    args = parser.parse_args()
    hardware.use_cores()
    apart: dict[str, list[float]] = {"without": [], "with the tone": []}
    with tempfile.TemporaryDirectory(prefix="cartolina-skin-") as work:
        easel = Easel(Path(work), args.people)
        for number, (inputs, scene) in enumerate(zip(easel.inputs, easel.scenes, strict=True)):
            drawn = neck(scenes.draw_scene(scene), scene)
            for name, tone in zip(
                apart, ("", seen_in_photos(scene.person, HELD_OUT + number)[1]), strict=True
            ):
                own = dataclasses.replace(inputs, request=dataclasses.replace(inputs.request, skin_tone=tone))
                pipeline = easel.cache.pipeline("pose", own.profile)
                painted = own.paint("pose", 1, own.canvas.background, pipeline)
                apart[name].append(float(color.deltaE_ciede2000(neck(painted, scene), drawn)))
    print(f"colour difference of the neck to the visitor's own, {args.people} people (median, quartiles)")
    for name, values in apart.items():
        low, middle, high = np.percentile(values, (25, 50, 75))
        print(f"{name:<16}{middle:>6.1f}  ({low:.1f} to {high:.1f})")


if __name__ == "__main__":
    main()
