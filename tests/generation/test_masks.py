"""Masks from a skeleton alone hold whoever is painted, and the skeleton's picture gives its joints back."""

import dataclasses
import io
import math
import random

import numpy as np
import pytest
from PIL import Image, ImageChops

from benchmarks.harness import ROOT
from benchmarks.harness import photographs as real
from benchmarks.masks import TARGETS, compare
from generation.miniature import demo_content
from generation.miniature.world import joints, people, scenes
from generation.miniature.world.pen import View
from generation.poses import mask_drawing, openpose, proposal
from generation.vision import real_people

SIZE = (256, 256)


@pytest.fixture(scope="module")
def rows():
    return compare(range(1000, 1030))


@pytest.mark.parametrize("name", TARGETS)
def test_held_out_drawings_are_covered_and_the_masks_are_not_much_larger(name, rows):
    covered, area = map(np.array, zip(*rows[name], strict=True))
    mean, worst, most = TARGETS[name]
    assert covered.mean() >= mean and covered.min() >= worst
    assert area.mean() <= most


def joints_of(seed: int) -> list:
    return scenes.random_scene(scenes.HELD_OUT + seed).pose.visible()


def test_the_face_mask_lies_in_the_subject_mask():
    for seed in range(20):
        outside = ImageChops.subtract(
            mask_drawing.face_mask(joints_of(seed), SIZE), mask_drawing.subject_mask(joints_of(seed), SIZE)
        )
        assert outside.getbbox() is None


@pytest.mark.parametrize("shot", joints.SHOT_TYPES)
def test_the_face_mask_leaves_no_hair_out_at_any_shot(shot):
    """Neither what is proposed from joints, nor from a picture, nor what the demo brings."""
    for style, seed in (("long", 3), ("curly", 6), ("bun", 9)):
        person = dataclasses.replace(people.random_person(seed), hair_style=style, hair_volume=0.8)
        scene = scenes.random_scene(scenes.HELD_OUT + seed, person, shot)
        head = scenes.head_silhouette(scene)
        proposed = mask_drawing.face_mask(scene.pose.visible(), SIZE)
        assert held(head, proposed) > 0.99 and area(proposed) < 1.5 * area(scenes.head_mask(scene))
    figure = demo_content._figure("waving", shot, person, "coat")
    assert held(scenes.head_silhouette(figure), demo_content.make_shot("waving", shot).face_mask) > 0.99


def test_the_face_mask_proposed_for_a_picture_holds_the_hair():
    scene = scenes.random_scene(scenes.HELD_OUT + 3, people.random_person(3, gender="woman"), "MES")
    found = proposal.propose(scenes.draw_scene(scene, View(pixels=512)))
    assert held(scenes.head_silhouette(scene, View(pixels=512)), found.face_mask) > 0.97
    astronaut = proposal.face_mask(real.astronaut(), proposal.NOBODY, real_people)
    left, top, right, bottom = astronaut.getbbox()  # her hair: x 150 to 300, y 15 to 120
    assert left < 150 and right > 300 and top < 15 and 190 < bottom < 260


def held(part: Image.Image, mask: Image.Image) -> float:
    return area(ImageChops.darker(part, mask)) / area(part)


def area(mask: Image.Image) -> int:
    return sum(mask.histogram()[128:])


def test_masks_grow_with_the_picture():
    small = mask_drawing.subject_mask(joints_of(0), SIZE)
    large = mask_drawing.subject_mask([j and (4 * j[0], 4 * j[1]) for j in joints_of(0)], (1024, 1024))
    difference = ImageChops.difference(small, large.resize(SIZE, Image.Resampling.NEAREST))
    assert np.asarray(difference).mean() / 255 < 0.01


def test_any_joint_may_be_missing():
    rng = random.Random(1)
    for seed in range(40):
        some = [joint if rng.random() < rng.random() else None for joint in joints_of(seed)]
        for make in (mask_drawing.subject_mask, mask_drawing.face_mask):
            mask = make(some, SIZE)
            assert (mask.mode, mask.size) == ("L", SIZE)
            assert set(np.unique(np.asarray(mask))) <= {0, 255}


def test_without_joints_both_masks_are_empty():
    assert mask_drawing.subject_mask([None] * 18, SIZE).getbbox() is None
    assert mask_drawing.face_mask([None] * 18, SIZE).getbbox() is None


def test_a_head_in_profile_is_covered():
    """One eye and one ear, as a person seen from the side shows them; the ear is in the head's middle."""
    joints = [None] * 18
    joints[openpose.NOSE], joints[openpose.NECK] = (96.0, 104.0), (140.0, 160.0)
    joints[openpose.R_EYE], joints[openpose.R_EAR] = (104.0, 92.0), (132.0, 96.0)
    box = mask_drawing.face_mask(joints, SIZE).getbbox()
    assert box[0] < 90 and box[2] > 140 and box[1] < 75 and box[3] > 120


@pytest.mark.parametrize("way", ["as drawn", "twice as large", "as a JPEG"])
def test_a_skeletons_picture_is_read_back_to_its_joints(way):
    for seed in range(20):
        known, times = joints_of(seed), 2 if way == "twice as large" else 1
        picture = openpose.draw(known, SIZE)
        if times == 2:
            picture = picture.resize((512, 512), Image.Resampling.BILINEAR)
        elif way == "as a JPEG":
            picture.save(content := io.BytesIO(), "JPEG", quality=90)
            picture = Image.open(content)
        for joint, read in zip(known, openpose.read(picture), strict=True):
            assert (joint is None) == (read is None)
            assert joint is None or math.dist(joint, (read[0] / times, read[1] / times)) < 3


def test_photographs_plain_pictures_and_drawings_are_not_read_as_skeletons():
    assert openpose.read(Image.open(ROOT / "benchmarks/harness/pictures/hopper.jpg")) is None
    assert openpose.read(Image.new("RGB", SIZE)) is None
    assert openpose.read(Image.new("RGB", SIZE, "red")) is None
    for seed in range(20):
        assert openpose.read(scenes.draw_scene(scenes.random_scene(seed))) is None
