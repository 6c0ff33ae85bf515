"""What makes a painted face the visitor's: ``python -m benchmarks.likeness --people 3 --each 4``.

People of the quality table's crowd are trained on the set of several face sizes; each LoRA paints the same
held-out requests. ``--only`` takes one comparison: "sets", with the best checkpoint instead of the last one,
with a background that counts less, and with the five whole photos; "candidates", the face step with 2 and 4
faces to choose from; "colours", a face's skin moved towards the neck's by 0, 4, 8 and 12 at most, painted in
this process with a changed profile, so that its seconds hold every model's loading. Read is how often the
face is nearest to the right one of 20 people, by the judge, which chose nothing; the colour difference of
cheeks and neck (CIE 2000); and what a picture takes.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image
from skimage import color

from benchmarks.harness.trainings import train_lora
from benchmarks.judge import reader as judge
from benchmarks.judge.identity import FIRST_PERSON, TRAINED, gallery, nearest
from benchmarks.quality import held_out_scene, paint, say, seen_in_photos, write_job
from benchmarks.skin import cheeks, neck
from generation import generator_classic
from generation.miniature.world import joints, people
from generation.miniature.world.scenes import Scene
from generation.models.profiles import MINIATURE, PROFILES, ModelProfile, TrainingSettings

CANDIDATES = (2, 4)  # 1 as it is
COLOUR_LIMITS = (0, 4, 8, 12)
COMPARISONS = ("sets", "candidates", "colours")


class Visitor:
    """One of the crowd, with what the photo gate keeps of their photos."""

    def __init__(self, number: int):
        self.number, self.seed = number, FIRST_PERSON + number
        self.person = people.random_person(self.seed)
        self.seen = seen_in_photos(self.person, self.seed)


def paint_with(
    profile: ModelProfile, job: Path, scene: Scene, seed: int, *visitor
) -> tuple[Image.Image, float]:
    """A picture by another profile than the table's, in this process; and its seconds."""
    write_job(job, scene, seed, *visitor)
    began = time.perf_counter()
    with mock.patch.dict(PROFILES, {profile.name: profile}):
        path = generator_classic.generate(job)
    seconds = time.perf_counter() - began
    with Image.open(path) as picture:
        return picture.convert("RGB"), seconds


def read(
    work: Path,
    name: str,
    visitors: list[Visitor],
    loras: list[Path],
    each: int,
    known: list,
    profile: ModelProfile | None = None,
) -> dict[str, list[float]]:
    """Shot type to 1 or 0 for each picture; "apart" to cheeks and neck; "seconds" to what each took."""
    found: dict[str, list[float]] = {key: [] for key in (*joints.SHOT_TYPES, "apart", "seconds")}
    for visitor, lora in zip(visitors, loras, strict=True):
        for shot in joints.SHOT_TYPES:
            for k in range(each):
                scene = held_out_scene(260 + 3 * k, visitor.person, shot)
                job = f"{name}-{visitor.number}-{shot}-{k}"
                asked = (scene, 40 + k, lora, *visitor.seen)
                if profile:
                    picture, seconds = paint_with(profile, work / job, *asked)
                else:
                    painted = paint(work, job, *asked)
                    picture, seconds = painted.last, painted.seconds
                face = judge.read_head(picture, scene.pose)
                found[shot].append(float(nearest(face, known) == visitor.number))
                apart = color.deltaE_ciede2000(cheeks(picture, scene), neck(picture, scene))
                found["apart"].append(float(apart))
                found["seconds"].append(seconds)
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
        several = MINIATURE.training

        def trained(name: str, training: TrainingSettings) -> list[Path]:
            work = Path(folder) / name
            work.mkdir()
            loras = [train_lora(work, one.person, one.seed, training)[0] for one in visitors]
            say(f"trained on {name}")
            return loras

        def tell(name: str, loras: list[Path], profile: ModelProfile | None = None) -> None:
            work = Path(folder) / "jobs" / name
            found = read(work, "job", visitors, loras, args.each, known, profile)
            print(line(name, found), flush=True)

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
                changed = dataclasses.replace(MINIATURE, face_colour_limit=limit)
                tell(f"skin moved towards the neck by {limit} at most", loras, changed)
    minutes = (time.monotonic() - began) / 60
    print(f"{args.people} people, {args.each} pictures at each shot type; {minutes:.0f} minutes")


if __name__ == "__main__":
    main()
