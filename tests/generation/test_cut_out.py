"""A drawn person on a guessed place: the guess goes, the person stays; what can't be told apart is left."""

import dataclasses

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks import measures
from generation.miniature.world import people, scenes
from generation.miniature.world.scenes import HELD_OUT
from generation.picture.cut_out import cut_out


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

    cut = cut_out(painted, place, scenes.skeleton(scene), mask, scenes.head_mask(scene))

    around = (np.asarray(mask) > 127) & (np.asarray(subject.filter(ImageFilter.MaxFilter(5))) < 128)
    halo, left = (
        np.abs(np.asarray(picture).astype(int) - np.asarray(place))[around].mean()
        for picture in (painted, cut)
    )
    assert left < halo / 3
    outline = measures.painted_outline(cut, place, mask)
    assert measures.iou(outline, np.asarray(subject) > 127) > 0.85
    assert (np.asarray(cut) == np.asarray(place))[np.asarray(mask) < 128].all()
    again = cut_out(painted, place, scenes.skeleton(scene), mask, scenes.head_mask(scene))
    assert (np.asarray(again) == np.asarray(cut)).all()


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

    cut = cut_out(painted, place, scenes.skeleton(scene), scenes.subject_mask(scene), scenes.head_mask(scene))

    kept = np.abs(np.asarray(cut).astype(int) - sky).max(axis=2) > 5
    assert kept[hair].mean() > 0.7


@pytest.mark.parametrize("inside", [0, 255])
def test_a_mask_that_is_all_full_or_all_empty_leaves_the_painting_as_it_is(inside):
    place, painted = Image.new("RGB", (64, 64), "navy"), Image.new("RGB", (64, 64), "gold")
    mask, no_bones = Image.new("L", (64, 64), inside), Image.new("RGB", (64, 64))
    assert (np.asarray(cut_out(painted, place, no_bones, mask, mask)) == np.asarray(painted)).all()
