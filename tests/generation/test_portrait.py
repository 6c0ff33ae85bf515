"""The face step's portrait: its face comes to the skeleton's eyes, whatever its place, size and tilt."""

import math

import numpy as np
import pytest
from PIL import Image

from generation.miniature import detectors
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import SCENE as SIDE
from generation.miniature.world.pen import View
from generation.picture.portrait import with_face_of
from generation.poses import openpose
from generation.vision import likeness

SCENE = scenes.random_scene(910_030, people.random_person(910_030), "CLS")
OTHER = scenes.random_scene(910_030, people.random_person(910_044), "CLS")
MASK = scenes.head_mask(SCENE)


def seen_in(picture: Image.Image) -> likeness.Closeup:
    return likeness.look_closely(picture, MASK, detectors)


def eyes_in(picture: Image.Image) -> list[tuple[float, float]]:
    seen = seen_in(picture)
    return [seen.from_here(eye) for eye in seen.face.eyes]


@pytest.mark.parametrize(
    ("turned", "larger", "shift"),
    [(0, 1.0, (0, 0)), (9, 1.0, (6, -8)), (-7, 1.15, (-9, 4)), (0, 1.3, (0, 9))],
)
def test_the_face_of_a_portrait_lands_on_the_eyes_of_the_skeleton(turned, larger, shift):
    x, y = SCENE.pose.head
    view = View(x * (1 - 1 / larger), y * (1 - 1 / larger), SIDE / larger)
    portrait = scenes.draw_scene(OTHER, view)
    portrait = portrait.rotate(turned, Image.Resampling.BICUBIC, center=(x, y), translate=shift)
    picture = scenes.draw_scene(SCENE)
    moved = with_face_of(portrait, seen_in(portrait), picture, scenes.skeleton(SCENE))
    joints = openpose.read(scenes.skeleton(SCENE))
    for eye, asked in zip(eyes_in(moved), (joints[openpose.L_EYE], joints[openpose.R_EYE]), strict=True):
        assert math.dist(eye, asked) < 3
    changed = np.abs(np.asarray(moved).astype(int) - np.asarray(picture)).max(2)
    assert changed.max() > 60  # another person's face
    assert not changed[np.asarray(MASK) == 0].any()


def test_without_eyes_the_picture_stays():
    picture, portrait = scenes.draw_scene(SCENE), scenes.draw_scene(OTHER)
    nobody = seen_in(scenes.draw_background(SCENE))
    assert with_face_of(portrait, nobody, picture, scenes.skeleton(SCENE)) is picture
    assert with_face_of(portrait, seen_in(portrait), picture, Image.new("RGB", picture.size)) is picture
