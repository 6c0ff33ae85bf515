"""The pose step's underpainting: its colours, its limbs on the skeleton's bones, and how it is put in."""

import math

import numpy as np
import pytest
from PIL import Image

from generation.miniature import detectors
from generation.miniature.world import people, scenes
from generation.models.blending import put_in
from generation.models.pipelines import PipelineCache
from generation.models.profiles import MINIATURE
from generation.picture.underpainting import (
    CLOTHES,
    HAIR,
    SKINS,
    draw_underpainting,
    figure_of,
    with_skin_of,
)
from generation.poses import openpose
from generation.poses.mask_drawing import ARMS, LEGS
from generation.request import GenerationRequest
from generation.seeds import step_generator
from generation.vision import likeness

pytestmark = pytest.mark.models
GREEN = (40, 160, 60)


def request(clothes: str = "a red sweater", *, seed: int = 1, **fields) -> GenerationRequest:
    fields.setdefault("skin_tone", "tan")
    return GenerationRequest(
        code="0", profile="miniature", seed=seed, background="b", skeleton="s", subject_mask="m",
        face_mask="f", age="adult", gender="man", action_description="", other_details=clothes,
        place_description="", **fields,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("clothes", "colour", "bare_arms", "bare_legs", "hem"),
    [
        ("a red sweater", "red", False, False, "short"),
        ("a t-shirt in Pink", "pink", True, False, "short"),
        ("a blue dress", "blue", True, True, "skirt"),
        ("grey coat", "grey", False, False, "long"),
        ("a white shirt and shorts", "white", False, True, "short"),
    ],
)
def test_the_figure_wears_what_the_words_say(clothes, colour, bare_arms, bare_legs, hem):
    figure = figure_of(request(clothes))
    assert figure.clothes == CLOTHES[colour]
    assert (figure.bare_arms, figure.bare_legs, figure.hem) == (bare_arms, bare_legs, hem)


def test_skin_and_hair_are_the_visitors():
    looks = {"hair": "grey", "style": "long"}
    figure = figure_of(request(skin_tone="deep", looks=looks))
    assert (figure.skin, figure.hair, figure.style) == (SKINS["deep"], HAIR["grey"], "long")
    assert figure_of(request(looks={"style": "bald"})).hair is None


def test_a_measured_skin_is_painted_as_it_is():
    figure = figure_of(request(skin_tone="deep", skin=[53.24, 80.09, 67.2]))  # sRGB's red
    assert math.dist(figure.skin, (255, 0, 0)) < 4


@pytest.mark.parametrize("seed", [910_030, 910_031])
def test_a_skin_that_nobody_names_is_that_of_the_painted_head(seed):
    scene = scenes.random_scene(seed, people.random_person(seed), "CLS")
    head = likeness.look_closely(scenes.draw_scene(scene), scenes.head_mask(scene), detectors)
    figure = figure_of(request(skin_tone=""))
    assert figure.skin is None
    assert math.dist(with_skin_of(figure, head).skin, scene.person.skin_colour) < 25


@pytest.mark.parametrize(("side", "column"), [("L", 250), ("R", 5)])
def test_an_arm_that_leads_out_of_the_picture_goes_on_to_its_edge(side, column):
    joints = [None] * 18
    away = 1 if side == "L" else -1
    places = {"NECK": (128, 100), "R_SHOULDER": (100, 101), "L_SHOULDER": (156, 101), "NOSE": (128, 70)}
    places |= {"R_HIP": (112, 170), "L_HIP": (144, 170), f"{side}_ELBOW": (128 + away * 100, 110)}
    for name, place in places.items():
        joints[getattr(openpose, name)] = place
    drawn = draw_underpainting(
        Image.new("RGB", (256, 256), GREEN), openpose.draw(joints, (256, 256)), figure_of(request())
    )
    assert math.dist(drawn.getpixel((column, 110)), GREEN) > 60


def test_legs_whose_knees_are_not_in_the_picture_go_on_to_its_edge():
    joints = [None] * 18
    places = {"NECK": (128, 100), "R_SHOULDER": (100, 101), "L_SHOULDER": (156, 101), "NOSE": (128, 70)}
    places |= {"R_HIP": (112, 200), "L_HIP": (144, 200)}
    for name, place in places.items():
        joints[getattr(openpose, name)] = place
    figure = figure_of(request("a red t-shirt"))
    drawn = draw_underpainting(Image.new("RGB", (256, 256), GREEN), openpose.draw(joints, (256, 256)), figure)
    assert math.dist(drawn.getpixel((144, 252)), figure.trousers) < 30


def test_colours_that_nobody_names_follow_from_the_seed():
    figures = [figure_of(request("clothes", seed=seed)) for seed in range(20)]
    assert figures[3] == figure_of(request("clothes", seed=3))
    assert len({figure.clothes for figure in figures}) > 3 and len({figure.hair for figure in figures}) > 2


@pytest.mark.parametrize("shot", ["CLS", "MES", "FUS"])
def test_the_limbs_of_the_figure_lie_on_the_bones(shot):
    scene = scenes.random_scene(910_003, people.random_person(910_003), shot)
    place = Image.new("RGB", (256, 256), GREEN)
    drawn = np.asarray(draw_underpainting(place, scenes.skeleton(scene), figure_of(request()))).astype(int)
    seen = 0
    for limb in (*ARMS, *LEGS):
        for a, b in zip(limb, limb[1:], strict=False):
            (ax, ay), (bx, by) = scene.pose.joints[a], scene.pose.joints[b]
            x, y = round((ax + bx) / 2), round((ay + by) / 2)
            if all(0 <= v < 256 for v in (ax, ay, bx, by)):
                assert math.dist(drawn[y, x], GREEN) > 40
                seen += 1
    assert seen >= 2
    assert (drawn[0, 0] == GREEN).all()


def test_without_a_skeleton_there_is_no_underpainting():
    place = Image.new("RGB", (256, 256), GREEN)
    assert draw_underpainting(place, Image.new("RGB", (256, 256)), figure_of(request())) is None


def test_a_figure_without_hips_in_the_picture_has_a_body_down_to_the_edge():
    joints = [None] * 18
    for name, place in (("NECK", (128, 130)), ("R_SHOULDER", (80, 132)), ("L_SHOULDER", (176, 132))):
        joints[getattr(openpose, name)] = place
    for name, place in (("NOSE", (128, 80)), ("R_EYE", (118, 70)), ("L_EYE", (138, 70))):
        joints[getattr(openpose, name)] = place
    skeleton = openpose.draw(joints, (256, 256))
    figure = figure_of(request())
    drawn = np.asarray(draw_underpainting(Image.new("RGB", (256, 256), GREEN), skeleton, figure)).astype(int)
    assert math.dist(drawn[200, 128], figure.clothes) < 10 and math.dist(drawn[250, 128], figure.clothes) < 10


def test_a_picture_is_put_into_its_area_of_a_painting_and_nowhere_else():
    """With little noise left, the area shows the picture; the rest is painted as without it."""
    pipeline = PipelineCache().pipeline("face", MINIATURE)
    place = scenes.draw_background(scenes.random_scene(910_004, people.random_person(910_004), "CLS"))
    red, lower = Image.new("RGB", place.size, (220, 30, 30)), Image.new("L", place.size)
    lower.paste(255, (0, 128, 256, 256))
    calls = []

    def painted(on_step):
        picture = pipeline(
            prompt="", image=place, mask_image=Image.new("L", place.size, 255), width=256, height=256,
            num_inference_steps=10, guidance_scale=1.0, generator=step_generator(1, 1), strength=1.0,
            callback_on_step_end=on_step,
        ).images[0]  # fmt: skip
        return np.asarray(picture).astype(int)

    def on_step(pipeline, number, timestep, tensors):
        calls.append(number)
        return {}

    plain = painted(on_step)
    blended = painted(put_in(lambda painted: red, lower, 200, step_generator(2, 1), on_step))
    assert calls == [*range(10), *range(10)]
    assert np.abs(blended[150:] - (220, 30, 30)).mean() < 15 < np.abs(plain[150:] - (220, 30, 30)).mean()
    moved = np.abs(blended - plain)
    assert moved[:100].mean() < 0.1 * moved[150:].mean()
