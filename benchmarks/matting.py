"""What the cut-out keeps and takes away: ``python -m benchmarks.matting --requests 30``.

The pose step of held-out requests, painted without the cut-out and then cut out. *Veil*: how much is still
changed beyond the drawn outline, grown by ``ROOM`` pixels, as a share of the outline's area. *Lost*: how much
of the outline was clearly painted and shows the place now; *of the head*: the same of hair and face. Other
hair or clothes than were asked for count, too, so none of them can be 0.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from benchmarks.settings import Easel
from generation.miniature.world import scenes
from generation.miniature.world.scenes import Scene
from generation.models import hardware
from generation.picture.cut_out import cut_out

ROOM = 6  # pixels
SAME, CLEARLY = 5, 25  # of 255: up to the first it is the place; from the second on it was clearly painted


def shares(scene: Scene, raw: Image.Image, cut: Image.Image) -> tuple[float, float, float]:
    """Veil, lost and lost of the head, of one picture."""
    place, painted, left = (
        np.asarray(picture.convert("RGB"), float) for picture in (scenes.draw_background(scene), raw, cut)
    )
    subject = np.asarray(scenes.silhouette(scene)) > 127
    head = np.asarray(scenes.head_silhouette(scene)) > 127
    ball = np.ones((2 * ROOM + 1, 2 * ROOM + 1))
    beyond = cv2.dilate(subject.astype(np.uint8), ball) == 0
    changed = np.abs(left - place).max(axis=2) > SAME
    gone = ~changed & (np.abs(painted - place).max(axis=2) > CLEARLY)
    return (
        (changed & beyond).sum() / subject.sum(),
        (gone & subject).sum() / subject.sum(),
        (gone & head).sum() / max(1, head.sum()),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=30)
    args = parser.parse_args()
    hardware.use_cores()
    found, seconds = [], []
    with tempfile.TemporaryDirectory(prefix="cartolina-matting-") as work:
        easel = Easel(Path(work), args.requests)
        for inputs, scene in zip(easel.inputs, easel.scenes, strict=True):
            canvas, profile = inputs.canvas, inputs.profile
            without = dataclasses.replace(inputs, profile=dataclasses.replace(profile, matting=""))
            raw = without.paint("pose", 1, canvas.background, easel.cache.pipeline("pose", profile))
            began = time.perf_counter()
            cut = cut_out(raw, canvas.background, canvas.skeleton, canvas.person_mask, profile)
            seconds.append(time.perf_counter() - began)
            found.append(shares(scene, raw, cut))
    veil, lost, of_head = np.mean(found, axis=0)
    print(f"{args.requests} requests: veil {veil:.4f}, lost {lost:.4f}, of the head {of_head:.4f}")
    print(f"{np.median(seconds):.3f} s a picture")


if __name__ == "__main__":
    main()
