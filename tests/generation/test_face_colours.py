"""A painted face's skin moves towards the neck's: so far, no farther, and only where both are seen."""

import math

import numpy as np
import pytest
from PIL import Image
from skimage import color

from benchmarks.harness import photographs as real
from generation.miniature import detectors
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import View
from generation.picture import face_colours
from generation.poses import openpose
from generation.vision import real_people, skin

SIDE, LIMIT = 384, 8.0


def drawn(lab: tuple[float, float, float] = (0, 0, 0)):
    """A portrait, its face mask and skeleton; every colour inside the mask moved by ``lab``."""
    scene = scenes.random_scene(scenes.HELD_OUT + 77, people.random_person(scenes.HELD_OUT + 3), "CLS")
    view = View(pixels=SIDE)
    picture, mask = scenes.draw_scene(scene, view), scenes.face_mask(scene, view)
    moved = color.lab2rgb(color.rgb2lab(np.asarray(picture) / 255) + np.array(lab))
    face = Image.fromarray((moved * 255).round().astype(np.uint8))
    skeleton = openpose.draw(scene.pose.visible(), (scenes.SCENE, scenes.SCENE)).resize((SIDE, SIDE))
    return Image.composite(face, picture, mask), mask, skeleton


def fitted_inside(picture: Image.Image, mask: Image.Image, skeleton: Image.Image) -> Image.Image:
    return Image.composite(face_colours.fit_to_neck(picture, mask, skeleton, LIMIT, detectors), picture, mask)


def test_a_face_of_its_necks_colour_keeps_it():
    picture, mask, skeleton = drawn()
    assert face_colours.fit_to_neck(picture, mask, skeleton, LIMIT, detectors) is picture


@pytest.mark.parametrize("off", [(-9, 0, 0), (0, 12, 0), (6, 9, 9)])
def test_a_face_of_another_colour_moves_towards_the_neck_by_the_limit_at_most(off):
    picture, mask, skeleton = drawn(off)
    _, lacks = face_colours.measure(picture, mask, skeleton, detectors)
    fitted = fitted_inside(picture, mask, skeleton)
    _, lacks_still = face_colours.measure(fitted, mask, skeleton, detectors)
    assert math.hypot(*lacks) > 2 and math.hypot(*lacks_still) < 0.7 * math.hypot(*lacks)
    before, after = (color.rgb2lab(np.asarray(one) / 255) for one in (picture, fitted))
    assert np.linalg.norm(after - before, axis=2).max() < LIMIT + 1.5  # colours are rounded to 8 bits


def test_eyes_and_hair_keep_their_colour_where_skin_changes():
    picture, mask, skeleton = drawn((0, 12, 0))
    fitted = fitted_inside(picture, mask, skeleton)
    moved = np.abs(np.asarray(fitted).astype(int) - np.asarray(picture)).max(axis=2)
    pixels = np.asarray(picture).astype(int)
    face = np.asarray(mask) > 0
    white, dark = face & (pixels.min(axis=2) > 235), face & (pixels.max(axis=2) < 60)
    assert white.sum() > 20 and dark.sum() > 20
    most = moved[face].max()
    assert most >= 8 and moved[white].mean() < most / 3 and moved[dark].mean() < most / 3


@pytest.mark.parametrize("lost", ["face", "mask", "neck"])
def test_without_a_face_a_mask_or_a_skeleton_no_colour_moves(lost):
    picture, mask, skeleton = drawn((0, 12, 0))
    if lost == "face":
        picture = real.faceless("drawn").resize((SIDE, SIDE))
    elif lost == "mask":
        mask = Image.new("L", mask.size)
    else:
        skeleton = Image.new("RGB", skeleton.size)
    assert face_colours.fit_to_neck(picture, mask, skeleton, LIMIT, detectors) is picture


@pytest.mark.parametrize("photo", [real.obama, real.astronaut])
def test_a_collar_is_no_neck(photo):
    """Both are dressed up to the chin."""
    picture = photo()
    face = real_people.find_faces(picture)[0]
    joint = real_people.read_pose(picture)[openpose.NECK]
    neck = skin.measure_neck(picture, face, (joint.x, joint.y))
    assert skin.to_neck(skin.measure(picture, face), neck) == (0, 0, 0)
    assert skin.measure_neck(picture, face, face.centre) is None


def test_a_neck_may_lie_in_the_chins_shadow():
    assert skin.to_neck((60, 18, 28), (50, 14, 25)) == (0, 0, 0)
    assert skin.to_neck((60, 18, 28), (64, 18, 28)) == (4, 0, 0)
    assert skin.to_neck((70, 18, 28), (50, 18, 28)) == (skin.FITS[0] - 20, 0, 0)
