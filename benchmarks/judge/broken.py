"""Drawings of people whose face is broken, as painted ones break. The judge learns to tell them.

Each function takes a scene, a view and a random generator, and returns the picture and which of
``reader.PARTS`` are still whole in it: 1.0, 0.0, or NaN where nobody could say.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks.judge import reader
from generation.miniature.world import people, places, scenes
from generation.miniature.world.pen import Frame, Pen, View, mix, shade
from generation.miniature.world.people import Person
from generation.miniature.world.scenes import Scene

Broken = tuple[Image.Image, dict[str, float]]
UNKNOWN = math.nan
CLEARLY = 18.0  # CIE 2000: from here on two colours of hair are two


def _flags(eyes: float = 1.0, mouth: float = 1.0, hair: float = 1.0) -> dict[str, float]:
    return {"eyes": eyes, "mouth": mouth, "hair": hair}


def _drawn_over(scene: Scene, view: View, draw: Callable[[Frame], None]) -> Image.Image:
    """The scene's picture with more drawn on its head, in the head's axes."""
    pen = Pen(view)
    places.draw_place(pen, scene.place)
    scenes.draw_figure(pen, scene)
    draw(Frame(pen, scene.pose.head, scene.pose.head_half, scene.pose.tilt))
    return pen.picture()


def _erase_eye(head: Frame, person: Person, side: int) -> None:
    head.ellipse(side * people.eye_place(person), -0.07, 0.235, 0.2, person.skin_colour)


def _around_mouth(person: Person):
    """The colour of what is around the mouth: skin, or a full beard."""
    return shade(person.hair_colour, 0.9) if person.beard >= 0.5 else person.skin_colour


def _erase_mouth(head: Frame, person: Person) -> None:
    head.line([(-0.38, 0.52), (0, 0.57), (0.38, 0.52)], _around_mouth(person), 0.2)


def eye_erased(scene: Scene, view: View, rng: random.Random) -> Broken:
    sides = rng.choice(((-1,), (1,), (-1, 1)))

    def draw(head: Frame) -> None:
        for side in sides:
            _erase_eye(head, scene.person, side)

    return _drawn_over(scene, view, draw), _flags(eyes=0)


def eye_too_many(scene: Scene, view: View, rng: random.Random) -> Broken:
    x, y = rng.uniform(-0.5, 0.5), rng.choice((rng.uniform(-0.7, -0.45), rng.uniform(0.25, 0.75)))
    size = rng.uniform(0.11, 0.19)

    def draw(head: Frame) -> None:
        head.ellipse(x, y, size * 1.25, size, (252, 252, 252))
        head.ellipse(x, y, size * 0.72, size * 0.86, rng.choice(people.IRIS_TONES))
        head.ellipse(x, y, size * 0.36, size * 0.44, (34, 26, 24))

    covers_mouth = y > 0.35
    return _drawn_over(scene, view, draw), _flags(eyes=0, mouth=UNKNOWN if covers_mouth else 1.0)


def mouth_erased(scene: Scene, view: View, rng: random.Random) -> Broken:
    return _drawn_over(scene, view, lambda head: _erase_mouth(head, scene.person)), _flags(mouth=0)


def mouth_twice(scene: Scene, view: View, rng: random.Random) -> Broken:
    person = scene.person
    lip = mix(person.skin_colour, (186, 36, 52), rng.uniform(0.5, 0.9))
    x, y, wide = rng.uniform(-0.3, 0.3), rng.choice((0.28, 0.82, 0.95)), rng.uniform(0.2, 0.34)

    def draw(head: Frame) -> None:
        head.line([(x - wide, y - 0.05), (x, y), (x + wide, y - 0.05)], lip, rng.uniform(0.08, 0.15))

    return _drawn_over(scene, view, draw), _flags(mouth=0)


def faceless(scene: Scene, view: View, rng: random.Random) -> Broken:
    """Skin where eyes, nose and mouth should be."""

    def draw(head: Frame) -> None:
        head.ellipse(0, 0.12, 0.62, 0.6, scene.person.skin_colour)

    return _drawn_over(scene, view, draw), _flags(eyes=0, mouth=0)


def smeared(scene: Scene, view: View, rng: random.Random) -> Broken:
    """A part of the face blurred until nothing is left of it."""
    part = rng.choice(("eye", "eyes", "mouth", "face"))
    place = people.eye_place(scene.person)
    x, y, rx, ry = {
        "eye": (rng.choice((-1, 1)) * place, -0.08, 0.3, 0.32),
        "eyes": (0, -0.08, 0.75, 0.34),
        "mouth": (0, 0.57, 0.5, 0.25),
        "face": (0, 0.15, 0.8, 0.75),
    }[part]
    stencil = Pen(view, "L")
    Frame(stencil, scene.pose.head, scene.pose.head_half, scene.pose.tilt).ellipse(x, y, rx, ry, 255)
    sharp, unit = scenes.draw_scene(scene, view), scene.pose.head_half * view.scale
    soft = sharp.filter(ImageFilter.GaussianBlur(rng.uniform(0.25, 0.4) * unit))
    edge = stencil.picture().filter(ImageFilter.GaussianBlur(0.05 * unit))
    eyes, mouth = part == "mouth", part in ("eye", "eyes")
    return Image.composite(soft, sharp, edge), _flags(eyes=float(eyes), mouth=float(mouth))


def _part_of_head(scene: Scene, view: View, rng: random.Random) -> Image.Image:
    """Mode L: one side of a line through the head, with a soft edge."""
    (x, y), half = scene.pose.head, scene.pose.head_half
    angle = rng.uniform(0, 2 * math.pi)
    x, y = x + rng.uniform(-0.35, 0.35) * half, y - (0.25 + rng.uniform(-0.35, 0.35)) * half
    x, y = (x - view.left) * view.scale, (y - view.top) * view.scale
    far = 4 * view.pixels
    along, across = (
        (math.cos(angle) * far, math.sin(angle) * far),
        (-math.sin(angle) * far, math.cos(angle) * far),
    )
    corners = [
        (x - along[0], y - along[1]),
        (x + along[0], y + along[1]),
        (x + along[0] + across[0], y + along[1] + across[1]),
        (x - along[0] + across[0], y - along[1] + across[1]),
    ]
    mask = Image.new("L", (view.pixels, view.pixels))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    return mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1) * 0.05 * half * view.scale))


def _with_other_hair(person: Person, rng: random.Random) -> Person:
    """The same person with hair of clearly another colour."""
    own = reader.lab(person.hair_colour)
    while True:
        other = dataclasses.replace(
            person, hair_tone=rng.random(), age="adult" if person.age == "old" else person.age
        )
        if reader.colours_apart(own, reader.lab(other.hair_colour)) > CLEARLY:
            return other


def _has_hair(scene: Scene, rng: random.Random) -> Scene:
    if scene.person.hair_style != "bald":
        return scene
    style = rng.choice(("short", "curly"))
    return dataclasses.replace(scene, person=dataclasses.replace(scene.person, hair_style=style))


def hair_of_two_colours(scene: Scene, view: View, rng: random.Random) -> Broken:
    scene = _has_hair(scene, rng)
    other = dataclasses.replace(scene, person=_with_other_hair(scene.person, rng))
    part = _part_of_head(scene, view, rng)
    picture = Image.composite(scenes.draw_scene(other, view), scenes.draw_scene(scene, view), part)
    return picture, _flags(hair=0 if _shared_hair(scene, view, part) else UNKNOWN)


def _shared_hair(scene: Scene, view: View, part: Image.Image) -> bool:
    """Whether the part's edge goes through the hair: enough of it on both sides."""
    bald = dataclasses.replace(scene.person, hair_style="bald", beard=0.0)
    drawn = scenes.draw_scene(
        dataclasses.replace(scene, person=dataclasses.replace(scene.person, beard=0.0)), view
    )
    without = scenes.draw_scene(dataclasses.replace(scene, person=bald), view)
    hair = np.abs(np.asarray(drawn, int) - np.asarray(without, int)).max(2) > 30
    inside = np.asarray(part) > 127
    return min((hair & inside).sum(), (hair & ~inside).sum()) > 0.2 * hair.sum()


def half_bald(scene: Scene, view: View, rng: random.Random) -> Broken:
    scene = _has_hair(scene, rng)
    bald = dataclasses.replace(scene, person=dataclasses.replace(scene.person, hair_style="bald"))
    part = _part_of_head(scene, view, rng)
    picture = Image.composite(scenes.draw_scene(bald, view), scenes.draw_scene(scene, view), part)
    return picture, _flags(hair=0 if _shared_hair(scene, view, part) else UNKNOWN)


def wig(scene: Scene, view: View, rng: random.Random) -> Broken:
    """One person's face in another's hair: an ellipse around the face is of another picture."""
    style = rng.choice(("curly", "long", "bun"))  # those that reach beyond the ellipse
    volume = rng.uniform(0.4, 1.0)
    body = dataclasses.replace(_with_other_hair(scene.person, rng), hair_style=style, hair_volume=volume)
    size = rng.uniform(0.85, 1.05)
    stencil, half = Pen(view, "L"), scene.pose.head_half
    x, y = scene.pose.head
    stencil.ellipse((x, y - 0.12 * half), 1.08 * size * half, 1.3 * size * half, 255)
    edge = stencil.picture().filter(ImageFilter.GaussianBlur(rng.uniform(0.02, 0.1) * half * view.scale))
    around = scenes.draw_scene(dataclasses.replace(scene, person=body), view)
    return Image.composite(scenes.draw_scene(scene, view), around, edge), _flags(hair=0)


def faded(scene: Scene, view: View, rng: random.Random) -> Broken:
    """The place shows through."""
    picture, place = scenes.draw_scene(scene, view), scenes.draw_background(scene, view)
    return Image.blend(picture, place, rng.uniform(0.45, 0.8)), _flags(0, 0, 0)


def headless(scene: Scene, view: View, rng: random.Random) -> Broken:
    mask = scenes.head_silhouette(scene, view)
    return Image.composite(scenes.draw_background(scene, view), scenes.draw_scene(scene, view), mask), _flags(
        0, 0, 0
    )


KINDS: dict[str, Callable[[Scene, View, random.Random], Broken]] = {
    kind.__name__: kind
    for kind in (
        eye_erased, eye_too_many, mouth_erased, mouth_twice, faceless, smeared, hair_of_two_colours,
        half_bald, wig, faded, headless,
    )
}  # fmt: skip
