"""What makes a painted face the visitor's: ``python -m benchmarks.likeness --people 3 --each 4``.

People of the quality table's crowd are trained on the set of several face sizes, again with the best
checkpoint chosen instead of the last one, and on the five whole photos; each LoRA paints the same held-out
requests. Then, with the first, the face step with 1, 2 and 4 candidates. Read is how often the face is
nearest to the right one of 20 people, by the reader that the quality table uses and that chose nothing, and
what a picture takes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path

import numpy as np

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
from generation.miniature import people, poses, reader, scenes
from generation.profiles import get_profile

CANDIDATES = (1, 2, 4)


class Visitor:
    """One of the crowd, with what the photo gate keeps of their photos."""

    def __init__(self, number: int):
        self.number, self.seed = number, FIRST_PERSON + number
        self.person = people.random_person(self.seed)
        self.faces, self.tone = seen_in_photos(self.person, self.seed)


def hits(
    work: Path, name: str, visitor: Visitor, lora: Path, each: int, known: list
) -> dict[str, list[float]]:
    """Shot type to 1 or 0 for each picture; "seconds" to what each took."""
    found: dict[str, list[float]] = {"seconds": []}
    for shot in poses.SHOT_TYPES:
        for k in range(each):
            scene = held_out_scene(260 + 3 * k, visitor.person, shot)
            job = f"{name}-{visitor.number}-{shot}-{k}"
            painted = paint(work, job, scene, 40 + k, lora, visitor.faces, visitor.tone)
            face = reader.read_face(painted.last, scenes.face_mask(scene))
            found.setdefault(shot, []).append(float(nearest(face, known) == visitor.number))
            found["seconds"].append(painted.seconds)
    return found


def line(name: str, rows: list[dict[str, list[float]]]) -> str:
    shares = {shot: np.mean([value for row in rows for value in row[shot]]) for shot in poses.SHOT_TYPES}
    seconds = np.median([value for row in rows for value in row["seconds"]])
    return f"{name:<46}" + "".join(f"{share:>8.2f}" for share in shares.values()) + f"{seconds:>11.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--each", type=int, default=4, help="pictures at each shot type")
    args = parser.parse_args()
    began, known = time.monotonic(), gallery()
    several = get_profile("miniature").training
    choosing = (*several.variables, ("CHOOSE_CHECKPOINT", "1"))
    sets = {
        "several face sizes": several,
        "the same, best checkpoint": dataclasses.replace(several, variables=choosing),
        "the same, background counts less": dataclasses.replace(several, mask_background=True),
        "whole photos": dataclasses.replace(several, face_sizes=False),
    }
    visitors = [Visitor(number) for number in TRAINED[: args.people]]
    print(
        f"{'nearest of 20 people':<46}" + "".join(f"{shot:>8}" for shot in poses.SHOT_TYPES) + "    a picture"
    )
    with tempfile.TemporaryDirectory(prefix="cartolina-likeness-") as folder:
        loras: dict[str, list[Path]] = {}
        for name, training in sets.items():
            work = Path(folder) / name
            work.mkdir()
            loras[name] = [train_lora(work, one.person, one.seed, training)[0] for one in visitors]
            say(f"trained on {name}")
            rows = [
                hits(work, "set", one, lora, args.each, known)
                for one, lora in zip(visitors, loras[name], strict=True)
            ]
            print(line(f"trained on {name}", rows), flush=True)
        for count in CANDIDATES:
            os.environ["FACE_CANDIDATES"] = str(count)
            pairs = zip(visitors, loras["several face sizes"], strict=True)
            rows = [hits(Path(folder), f"of-{count}", one, lora, args.each, known) for one, lora in pairs]
            print(line(f"the nearest of {count} to the photos", rows), flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{args.people} people, {args.each} pictures at each shot type; {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
