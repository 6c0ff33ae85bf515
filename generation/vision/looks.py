"""A person's hair, beard and glasses, read from their photos and said to the steps that paint the body.

A LoRA gives a picture the visitor's head; the body under it is painted before, by words. ``Looks`` has a word
of ``VALUES`` for each thing that is sure. A profile says which words its models know them by.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from PIL import Image

from generation.vision.types import Face

Looks = dict[str, str]
VALUES = {
    "hair": ("black", "brown", "auburn", "blond", "red", "grey"),
    "style": ("short", "parted", "curly", "long", "bun", "bald"),
    "beard": ("none", "moustache", "beard"),
    "glasses": ("none", "round", "square"),
}
NONE = "none"  # is sure too: it outvotes a beard that one photo seems to show
PLAIN: Looks = {"beard": NONE, "glasses": NONE}
LOOKED_AT = 1024  # pixels on the long side that are enough to read looks
FEWEST = 2  # photos that have to say the same, of five


def shrunk(picture: Image.Image, face: Face) -> tuple[Image.Image, Face]:
    """Both a whole number of times smaller if the picture is large: reading takes little memory."""
    times = max(picture.size) // LOOKED_AT
    if times < 2:
        return picture, face
    points = tuple((x / times, y / times) for x, y in face.points)
    small = dataclasses.replace(face, box=tuple(edge / times for edge in face.box), points=points)
    return picture.reduce(times), small


def settled(readings: Sequence[Looks]) -> Looks:
    """What at least ``FEWEST`` photos say, and more than half of those that say anything of it."""
    found: Looks = {}
    for name in VALUES:
        said = Counter(reading[name] for reading in readings if name in reading)
        for value, count in said.most_common(1):
            if count >= FEWEST and 2 * count > said.total() and value != NONE:
                found[name] = value
    if found.get("style") == "bald":
        found.pop("hair", None)
    return found


def differing(seen: Looks, looks: Looks) -> list[str]:
    """The names of ``looks`` that are otherwise in ``seen``, a picture's reading. ``looks`` are settled: a
    beard or glasses that they don't name aren't there. What isn't sure in the picture doesn't differ."""
    wanted = PLAIN | looks
    return [name for name, value in wanted.items() if seen.get(name, value) != value]
