"""What makes a painted face the visitor's: ``python -m benchmarks.likeness --people 3 --each 4``.

People of the quality table's crowd are trained on the set of several face sizes; each LoRA paints the same
held-out requests. ``--only`` takes one comparison: "sets", with the best checkpoint instead of the last one,
with a background that counts less, and with the five whole photos; "candidates", the face step with 2 and 4
faces to choose from; "colours", a face's skin moved towards the neck's by 0, 4 and 12 at most. Read is how
often the face is nearest to the right one of 20 people, by the reader that the quality table uses and that
chose nothing; the colour difference of cheeks and neck (CIE 2000); and what a picture takes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from skimage import color

from benchmarks.quality import (
    FIRST_PERSON,
    TRAINED,
    gallery,
    held_out_scene,
    nearest,
    paint,
    say,
    seen_in_photos,
    train_lora,
)
from benchmarks.skin import cheeks, neck
from generation.miniature.training import reader
from generation.miniature.world import joints, people, scenes
from generation.models.profiles import TrainingSettings, get_profile

CANDIDATES = (2, 4)  # 1 as it is
COLOUR_LIMITS = (0, 4, 12)  # 8 as it is
COMPARISONS = ("sets", "candidates", "colours")


class Visitor:
    """One of the crowd, with what the photo gate keeps of their photos."""

    def __init__(self, number: int):
        self.number, self.seed = number, FIRST_PERSON + number
        self.person = people.random_person(self.seed)
        self.faces, self.tone = seen_in_photos(self.person, self.seed)


def read(
    work: Path, name: str, visitors: list[Visitor], loras: list[Path], each: int, known: list
) -> dict[str, list[float]]:
    """Shot type to 1 or 0 for each picture; "apart" to cheeks and neck; "seconds" to what each took."""
    found: dict[str, list[float]] = {key: [] for key in (*joints.SHOT_TYPES, "apart", "seconds")}
    for visitor, lora in zip(visitors, loras, strict=True):
        for shot in joints.SHOT_TYPES:
            for k in range(each):
                scene = held_out_scene(260 + 3 * k, visitor.person, shot)
                job = f"{name}-{visitor.number}-{shot}-{k}"
                painted = paint(work, job, scene, 40 + k, lora, visitor.faces, visitor.tone)
                face = reader.read_face(painted.last, scenes.face_mask(scene))
                found[shot].append(float(nearest(face, known) == visitor.number))
                apart = color.deltaE_ciede2000(cheeks(painted.last, scene), neck(painted.last, scene))
                found["apart"].append(float(apart))
                found["seconds"].append(painted.seconds)
    return found


def line(name: str, found: dict[str, list[float]]) -> str:
    shares = "".join(f"{np.mean(found[shot]):>8.2f}" for shot in joints.SHOT_TYPES)
    return f"{name:<46}{shares}{np.mean(found['apart']):>12.1f}{np.median(found['seconds']):>11.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--each", type=int, default=4, help="pictures at each shot type")
    parser.add_argument("--only", choices=COMPARISONS)
    args = parser.parse_args()
    began, known = time.monotonic(), gallery()
    visitors = [Visitor(number) for number in TRAINED[: args.people]]
    shots = "".join(f"{shot:>8}" for shot in joints.SHOT_TYPES)
    print(f"{'nearest of 20 people':<46}{shots}{'neck':>12}{'a picture':>13}")
    with tempfile.TemporaryDirectory(prefix="cartolina-likeness-") as folder:
        several = get_profile("miniature").training

        def trained(name: str, training: TrainingSettings) -> list[Path]:
            work = Path(folder) / name
            work.mkdir()
            loras = [train_lora(work, one.person, one.seed, training)[0] for one in visitors]
            say(f"trained on {name}")
            return loras

        def tell(name: str, loras: list[Path]) -> None:
            print(
                line(name, read(Path(folder) / "jobs" / name, "job", visitors, loras, args.each, known)),
                flush=True,
            )

        loras = trained("several face sizes", several)
        tell("several face sizes, and all else as it is", loras)
        if args.only in (None, "sets"):
            for name, training in {
                "the same, best checkpoint": dataclasses.replace(several, choose_checkpoint=True),
                "the same, background counts less": dataclasses.replace(several, mask_background=True),
                "whole photos": dataclasses.replace(several, face_sizes=False),
            }.items():
                tell(f"trained on {name}", trained(name, training))
        if args.only in (None, "candidates"):
            for count in CANDIDATES:
                os.environ["FACE_CANDIDATES"] = str(count)
                tell(f"the nearest of {count} to the photos", loras)
            del os.environ["FACE_CANDIDATES"]
        if args.only in (None, "colours"):
            for limit in COLOUR_LIMITS:
                os.environ["FACE_COLOUR_LIMIT"] = str(limit)
                tell(f"skin moved towards the neck by {limit} at most", loras)
    minutes = (time.monotonic() - began) / 60
    print(f"{args.people} people, {args.each} pictures at each shot type; {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
