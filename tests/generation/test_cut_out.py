"""A drawn person on a guessed place: the guess goes, the person stays; what can't be told apart is left."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks import measures
from generation.miniature.world import people, scenes
from generation.miniature.world.scenes import HELD_OUT
from generation.models.profiles import MINIATURE
from generation.picture.cut_out import cut_out

pytestmark = pytest.mark.models


@pytest.mark.parametrize("seed", range(6))
def test_the_place_comes_back_around_the_subject(seed):
    scene = scenes.random_scene(HELD_OUT + seed)
    place, mask = scenes.draw_background(scene), scenes.subject_mask(scene)
    subject = scenes.silhouette(scene)
    guessed = Image.blend(
        place.filter(ImageFilter.GaussianBlur(4)), Image.new("RGB", place.size, "white"), 0.1
    )
    painted = Image.composite(scenes.draw_scene(scene), guessed, subject)
    painted = Image.composite(painted, place, mask)

    cut = cut_out(painted, place, scenes.skeleton(scene), mask, MINIATURE)

    around = (np.asarray(mask) > 127) & (np.asarray(subject.filter(ImageFilter.MaxFilter(5))) < 128)
    halo, left = (
        np.abs(np.asarray(picture).astype(int) - np.asarray(place))[around].mean()
        for picture in (painted, cut)
    )
    assert left < halo / 3
    outline = measures.painted_outline(cut, place, mask)
    assert measures.iou(outline, np.asarray(subject) > 127) > 0.85
    assert (np.asarray(cut) == np.asarray(place))[np.asarray(mask) < 128].all()
    again = cut_out(painted, place, scenes.skeleton(scene), mask, MINIATURE)
    assert (np.asarray(again) == np.asarray(cut)).all()


def test_a_veil_around_grey_hair_goes_with_the_place():
    person = dataclasses.replace(
        people.random_person(HELD_OUT + 1), age="old", hair_style="curly", hair_tone=0.0
    )
    scene = scenes.random_scene(HELD_OUT + 1, person, "MES")
    place, mask, subject = scenes.draw_background(scene), scenes.subject_mask(scene), scenes.silhouette(scene)
    veil = (
        subject.filter(ImageFilter.MaxFilter(25)).filter(ImageFilter.GaussianBlur(3)).point(lambda v: v // 3)
    )
    painted = Image.composite(Image.new("RGB", place.size, (150, 150, 155)), place, veil)
    painted = Image.composite(scenes.draw_scene(scene), painted, subject)
    painted = Image.composite(painted, place, mask)

    cut = cut_out(painted, place, scenes.skeleton(scene), mask, MINIATURE)

    around = (np.asarray(mask) > 127) & (np.asarray(subject.filter(ImageFilter.MaxFilter(7))) < 128)
    before, after = (
        np.abs(np.asarray(p).astype(int) - np.asarray(place)).max(axis=2)[around] > 8 for p in (painted, cut)
    )
    assert before.mean() > 0.3 and after.mean() < 0.03


@pytest.mark.parametrize("style", ["short", "long"])
@pytest.mark.parametrize("lighter", [-24, 14])
def test_grey_hair_on_a_grey_sky_stays(style, lighter):
    person = dataclasses.replace(
        people.random_person(HELD_OUT + 1), age="old", hair_style=style, hair_volume=0.8, hair_tone=0.0
    )
    scene = scenes.random_scene(HELD_OUT + 1, person, "CLS")
    hair = np.asarray(scenes.head_silhouette(scene)) > 127
    hair[round(scene.pose.head[1] - 0.4 * scene.pose.head_half) :] = False  # only what is above the eyes
    sky = tuple(int(v) + lighter for v in person.hair_colour)
    place = Image.new("RGB", (256, 256), sky)
    painted = Image.composite(scenes.draw_scene(scene), place, scenes.silhouette(scene))

    cut = cut_out(painted, place, scenes.skeleton(scene), scenes.subject_mask(scene), MINIATURE)

    kept = np.abs(np.asarray(cut).astype(int) - sky).max(axis=2) > 5
    assert kept[hair].mean() > 0.7


@pytest.mark.parametrize("inside", [0, 255])
def test_without_a_skeleton_the_painting_is_left_as_it_is(inside):
    place, painted = Image.new("RGB", (64, 64), "navy"), Image.new("RGB", (64, 64), "gold")
    mask, no_bones = Image.new("L", (64, 64), inside), Image.new("RGB", (64, 64))
    assert (np.asarray(cut_out(painted, place, no_bones, mask, MINIATURE)) == np.asarray(painted)).all()
