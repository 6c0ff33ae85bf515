"""The demo's catalogue and people, drawn in the world that the miniature knows. PIL and numpy only."""

from __future__ import annotations

import dataclasses
import random
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops

from generation.miniature.world import joints, scenes
from generation.miniature.world import people as crowd
from generation.miniature.world import places as world
from generation.miniature.world.pen import SCENE, Pen, View
from generation.miniature.world.people import Person
from generation.miniature.world.places import Place
from generation.miniature.world.scenes import HELD_OUT, Scene

# Names a tourist board might use, with two drawings each: (image name, kind, light, seed).
_PLACES = {
    "Cala Serena": (("beach at noon", "beach", "sunny", 1), ("beach at dusk", "beach", "sunset", 2)),
    "Piazza del Duomo": (
        ("square in the sun", "square", "sunny", 3),
        ("cloudy square", "square", "cloudy", 4),
    ),
    "Lago Alto": (("lake in the sun", "lake", "sunny", 5), ("lake at dusk", "lake", "sunset", 6)),
    "Porto Vecchio": (
        ("harbour in the sun", "harbour", "sunny", 7),
        ("cloudy harbour", "harbour", "cloudy", 8),
    ),
    "Colle delle Vigne": (
        ("vineyard", "vineyard", "sunny", 9),
        ("vineyard at dusk", "vineyard", "sunset", 10),
    ),
}
_ACTIONS = ("standing", "waving", "arms wide", "hands on hips", "jumping", "sitting", "pointing", "running")
_PEOPLE = {"Ada": ("adult", "woman", HELD_OUT + 901), "Bruno": ("adult", "man", HELD_OUT + 906)}


@dataclass(frozen=True)
class DemoPlaceImage:
    name: str
    description: str
    picture: Image.Image


@dataclass(frozen=True)
class DemoPlace:
    name: str
    images: list[DemoPlaceImage]


@dataclass(frozen=True)
class DemoShot:
    """All of one size: the OpenPose skeleton (RGB) and the masks (L, 255 where painted)."""

    skeleton: Image.Image
    subject_mask: Image.Image
    face_mask: Image.Image


@dataclass(frozen=True)
class DemoAction:
    name: str
    description: str
    shots: dict[str, DemoShot]


@dataclass(frozen=True)
class DemoPerson:
    name: str
    age: str
    gender: str
    photos: list[Image.Image]


def draw_empty_place(kind: str, light: str, seed: int, side: int = 512) -> Image.Image:
    """A place with nobody in it, ``side`` pixels square."""
    pen = Pen(View(pixels=side))
    world.draw_place(pen, Place(kind, light, HELD_OUT + seed))
    return pen.picture()


def places() -> list[DemoPlace]:
    return [
        DemoPlace(
            name,
            [
                DemoPlaceImage(image, Place(kind, light, 0).description, draw_empty_place(kind, light, seed))
                for image, kind, light, seed in images
            ],
        )
        for name, images in _PLACES.items()
    ]


def _figure(action: str, shot: str, person: Person, garment: str) -> Scene:
    pose = joints.make_pose(joints.ACTIONS[action], shot, person.age, person.gender)
    place = Place("beach", "sunny", HELD_OUT)
    return Scene(person, place, action, shot, pose, garment, "red", crowd.TROUSERS[0])


def _bodies() -> list[tuple[Person, str]]:
    """People of many outlines, so that a mask made around all of them leaves room for any."""
    bodies = []
    for gender, garment, style in (
        ("woman", "dress", "long"),
        ("woman", "coat", "curly"),
        ("man", "coat", "short"),
        ("woman", "sweater", "bun"),
    ):
        person = crowd.random_person(HELD_OUT + 1, "adult", gender)
        bodies.append(
            (dataclasses.replace(person, hair_style=style, hair_volume=0.6, face_width=0.8), garment)
        )
    return bodies


def make_shot(action: str, shot: str) -> DemoShot:
    """Skeleton and masks of the plain pose of ``action`` at ``shot``; the face's mask is the whole head's."""
    figures = [_figure(action, shot, person, garment) for person, garment in _bodies()]
    subject = Image.new("L", (SCENE, SCENE))
    face = Image.new("L", (SCENE, SCENE))
    for figure in figures:
        subject = ImageChops.lighter(subject, scenes.subject_mask(figure, margin=5))
        face = ImageChops.lighter(face, scenes.head_mask(figure))
    return DemoShot(scenes.skeleton(figures[2]), ImageChops.lighter(subject, face), face)


def actions() -> list[DemoAction]:
    return [
        DemoAction(name, joints.ACTIONS[name].description, {s: make_shot(name, s) for s in joints.SHOT_TYPES})
        for name in _ACTIONS
    ]


def photo_scenes(person: Person, seed: int, count: int = 5, side: int = 512) -> list[tuple[Scene, View]]:
    """Where the portraits of ``photos_of`` are taken, and what each of them sees."""
    taken = []
    for k in range(count):
        rng = random.Random(f"photo {seed} {k}")
        scene = scenes.random_scene(seed * 10 + k, person, "CLS")
        half = scene.pose.head_half
        reach = half * (2.1, 2.4, 1.9, 2.8, 2.2)[k % 5]
        x, y = scene.pose.head[0] + rng.uniform(-0.2, 0.2) * half, scene.pose.head[1] + 0.35 * half
        left, top = (min(max(0.0, c - reach), SCENE - 2 * reach) for c in (x, y))
        taken.append((scene, View(left, top, 2 * reach, side)))
    return taken


def photos_of(person: Person, seed: int, count: int = 5, side: int = 512) -> list[Image.Image]:
    """Portraits of one person, as a phone takes them: other places, clothes, poses, sizes of the face."""
    return [scenes.draw_scene(*taken) for taken in photo_scenes(person, seed, count, side)]


def people() -> list[DemoPerson]:
    found = []
    for name, (age, gender, seed) in _PEOPLE.items():
        person = crowd.random_person(seed, age, gender)
        found.append(DemoPerson(name, age, gender, photos_of(person, seed)))
    return found


def main() -> None:
    """Write one person's photos as files: ``python -m generation.miniature.demo_content FOLDER``."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "photos")
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(people()[0].photos, start=1):
        photo.save(folder / f"{number}.png")
    print(f"{folder}/1.png to {folder}/5.png")


if __name__ == "__main__":
    main()
