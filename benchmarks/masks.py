"""Masks proposed from a skeleton alone, against drawn people in clothes and with hair. ``make bench``

Of 200 scenes that nothing was trained on: the skeleton's picture is read back to its joints. Measured is how
much of the true silhouette, and of a head with any hair, the masks made from these cover, and how many times
larger they are. ``--save FILE`` also lays the first of them out as a contact sheet: the mask is light, what
is missed red, the face mask outlined.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

from generation.miniature.world import scenes
from generation.miniature.world.scenes import Scene
from generation.poses import mask_drawing, openpose

SCENES, SHEET_SIDE = 200, 6
TARGETS = {"subject": (0.99, 0.97, 2.2), "face": (0.99, 0.97, 1.4)}  # covered: mean, worst; mean area


def proposed(scene: Scene) -> dict[str, np.ndarray]:
    """The masks, (256, 256) bool, of the joints that the scene's skeleton picture shows."""
    picture = scenes.skeleton(scene)
    joints = openpose.read(picture)
    make = {"subject": mask_drawing.subject_mask, "face": mask_drawing.face_mask}
    return {name: np.asarray(function(joints, picture.size)) > 127 for name, function in make.items()}


def true(scene: Scene) -> dict[str, np.ndarray]:
    drawn = {"subject": scenes.silhouette(scene), "face": scenes.head_mask(scene)}
    return {name: np.asarray(mask) > 127 for name, mask in drawn.items()}


def compare(seeds: range) -> dict[str, list[tuple[float, float]]]:
    """For each mask and scene: the share of the true one that is covered, and the area in true areas."""
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in TARGETS}
    for seed in seeds:
        scene = scenes.random_scene(scenes.HELD_OUT + seed)
        known, guess = true(scene), proposed(scene)
        for name, found in rows.items():
            area = known[name].sum()
            found.append((float((known[name] & guess[name]).sum() / area), float(guess[name].sum() / area)))
    return rows


def contact_sheet() -> Image.Image:
    sheet = Image.new("RGB", (256 * SHEET_SIDE, 256 * SHEET_SIDE))
    for k in range(SHEET_SIDE**2):
        scene = scenes.random_scene(scenes.HELD_OUT + k)
        known, guess = true(scene), proposed(scene)
        pixels = np.asarray(scenes.draw_scene(scene), float)
        pixels = np.where(guess["subject"][..., None], pixels * 0.7 + 76, pixels * 0.5)
        edge = guess["face"] ^ np.roll(guess["face"], (1, 1), (0, 1))
        pixels[edge] = (255, 255, 0)
        pixels[known["subject"] & ~guess["subject"]] = (255, 0, 0)
        cell = Image.fromarray(pixels.astype(np.uint8))
        sheet.paste(cell, (k % SHEET_SIDE * 256, k // SHEET_SIDE * 256))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--save", type=Path, metavar="FILE", help="a contact sheet of overlays")
    args = parser.parse_args()
    began = time.perf_counter()
    rows = compare(range(SCENES))
    print(f"{SCENES} held-out drawings, {(time.perf_counter() - began) / SCENES:.3f} s each")
    for name, found in rows.items():
        covered, area = zip(*found, strict=True)
        mean, worst, most = TARGETS[name]
        print(
            f"  {name:7} covered: mean {statistics.mean(covered):.2%} (asked: {mean:.0%}), "
            f"worst {min(covered):.2%}" + (f" (asked: {worst:.0%})" if worst else "") + "; "
            f"area: mean {statistics.mean(area):.2f} x the true one (asked: {most}), largest {max(area):.2f}"
        )
    if args.save:
        contact_sheet().save(args.save)
        print(f"  overlays: {args.save}")


if __name__ == "__main__":
    main()
