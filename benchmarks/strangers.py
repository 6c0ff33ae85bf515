"""Pictures to be judged cold, as a stranger would: ``python -m benchmarks.strangers FOLDER``.

Ten held-out people, the first of the quality table's crowd, each painted close, at middle distance and far.
Each has a LoRA of their five photos, as a visitor has, and other requests than the table's. ``FOLDER/01.png``
to ``30.png`` have the photos above and the picture below, in an order that says nothing.
``FOLDER/index.csv`` has a line for each, with columns to be filled in: is the person whole, is it this
person, would you keep it, and why not. ``FOLDER/key.csv`` says which request each
is. LoRAs and pictures are kept in ``FOLDER/work``: a broken run goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.harness.trainings import recipe
from benchmarks.judge import identity
from benchmarks.quality import held_out_scene, say, trained_visitor
from generation.miniature import demo_content
from generation.miniature.world import joints, people
from generation.miniature.world.people import Person
from generation.miniature.world.scenes import Scene
from generation.models.profiles import MINIATURE, get_profile

PEOPLE = 10
FIRST_REQUEST = 320  # after those of the quality table
PHOTO, GAP, LARGE = 300, 16, 768  # pixels; a painted picture is enlarged to LARGE
PAPER = (236, 236, 236)
ASKED = ("file", "whole (y/n)", "this person (y/n)", "would keep (y/n)", "why not")


@dataclass(frozen=True)
class Request:
    number: int  # of the person in the crowd
    shot: str

    @property
    def seed(self) -> int:
        return identity.FIRST_PERSON + self.number

    @property
    def name(self) -> str:
        return f"{self.number}-{self.shot}"

    @property
    def person(self) -> Person:
        return people.random_person(self.seed)

    @property
    def scene(self) -> Scene:
        return held_out_scene(FIRST_REQUEST + 3 * self.number, self.person, self.shot)


def requests(count: int = PEOPLE) -> list[Request]:
    """Every person at every shot type, shuffled: neighbours are not the same person."""
    found = [Request(number, shot) for number in identity.TRAINED[:count] for shot in joints.SHOT_TYPES]
    random.Random("strangers").shuffle(found)
    return found


def painted(work: Path, request: Request) -> Image.Image:
    """The request's picture; painted once, with the weights and settings that are there."""
    file = work / f"{request.name}-{recipe(repr(get_profile(MINIATURE.name)))}.png"
    if not file.exists():
        visitor = trained_visitor(request.number, work)
        job = f"{request.name}-{os.getpid()}"
        picture = visitor.paint(work / "jobs", job, request.scene, request.seed)
        aside = file.with_suffix(".tmp.png")
        picture.finished.save(aside)
        os.replace(aside, file)
    with Image.open(file) as picture:
        return picture.convert("RGB")


def laid_out(photos: list[Image.Image], picture: Image.Image) -> Image.Image:
    """The photos in a row, and the picture below them in the middle, on grey."""
    width = len(photos) * (PHOTO + GAP) + GAP
    page = Image.new("RGB", (width, PHOTO + LARGE + 3 * GAP), PAPER)
    for place, photo in enumerate(photos):
        small = photo.resize((PHOTO, PHOTO), Image.Resampling.LANCZOS)
        page.paste(small, (GAP + place * (PHOTO + GAP), GAP))
    large = picture.resize((LARGE, LARGE), Image.Resampling.BICUBIC)
    page.paste(large, ((width - LARGE) // 2, PHOTO + 2 * GAP))
    return page


def write_tables(folder: Path, asked: list[Request]) -> None:
    """What is filled in, unless it is there already; and the key to it."""
    names = [f"{place:02}.png" for place in range(1, len(asked) + 1)]
    if not (folder / "index.csv").exists():
        with (folder / "index.csv").open("w", newline="") as file:
            csv.writer(file).writerows([ASKED, *([name, "", "", "", ""] for name in names)])
    with (folder / "key.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "seed of the person", "shot"))
        rows.writerows((name, r.seed, r.shot) for name, r in zip(names, asked, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="for the pages, the tables and the kept work")
    parser.add_argument("--people", type=int, default=PEOPLE)
    args = parser.parse_args()
    work, asked = args.folder / "work", requests(args.people)
    work.mkdir(parents=True, exist_ok=True)
    write_tables(args.folder, asked)
    for place, request in enumerate(asked, start=1):
        photos = demo_content.photos_of(request.person, request.seed)
        laid_out(photos, painted(work, request)).save(args.folder / f"{place:02}.png")
        say(f"{place} of {len(asked)}")
    print(f"{args.folder}: {len(asked)} pages; index.csv is to be filled in")


if __name__ == "__main__":
    main()
