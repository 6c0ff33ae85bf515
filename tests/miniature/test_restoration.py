"""The restoration on held-out people: it mends what is smeared or mottled, and leaves the rest."""

import dataclasses

import cv2
import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter

from benchmarks.harness.job_folders import make_job
from generation.miniature import demo_content, detectors, restoration
from generation.miniature.training.train_looks import looks_of
from generation.miniature.world import joints, people, scenes
from generation.miniature.world.pen import View
from generation.models.profiles import MINIATURE, SD15
from generation.picture import finishing
from generation.picture.canvas import Canvas
from generation.picture.finishing import in_photograph
from generation.picture.restoring import flatten_colours, restore_body, restore_head
from generation.processes import step_process
from generation.request import GenerationRequest
from generation.vision import likeness
from generation.vision.visitor import NOBODY, UNKNOWN, Visitor

pytestmark = pytest.mark.models

SEEDS = range(scenes.HELD_OUT + 40, scenes.HELD_OUT + 52)


def canvas_of(scene: scenes.Scene) -> Canvas:
    head = scenes.head_mask(scene)
    return Canvas(scenes.draw_background(scene), scenes.skeleton(scene), scenes.subject_mask(scene), head)


def scenes_at(shot: str) -> list[scenes.Scene]:
    return [scenes.random_scene(seed, people.random_person(seed), shot) for seed in SEEDS]


def smeared(scene: scenes.Scene, canvas: Canvas) -> Image.Image:
    """The drawing with a blurred head, in a veil of the hair's colour that lies around it."""
    radius = scene.pose.head_half / 7
    head = scenes.head_silhouette(scene)
    around = head.filter(ImageFilter.MaxFilter(13)).filter(ImageFilter.GaussianBlur(4))
    veil = Image.new("RGB", (256, 256), scene.person.hair_colour)
    veiled = Image.composite(veil, canvas.background, around.point(lambda value: value // 3))
    painted = Image.composite(scenes.draw_scene(scene), veiled, scenes.silhouette(scene))
    return Image.composite(painted.filter(ImageFilter.GaussianBlur(radius)), painted, canvas.face_mask)


def error(picture: Image.Image, asked: Image.Image, inside: Image.Image) -> float:
    """The mean absolute difference inside the mask, of 255."""
    difference = np.abs(np.asarray(picture, float) - np.asarray(asked, float)).mean(axis=2)
    return difference[np.asarray(inside) > 127].mean()


@pytest.mark.parametrize("shot", ["CLS", "MES", "FUS"])
def test_a_smeared_head_comes_nearer_to_the_drawing(shot):
    before, after = [], []
    for scene in scenes_at(shot):
        canvas, asked = canvas_of(scene), scenes.draw_scene(scene)
        painted = smeared(scene, canvas)
        restored = restore_head(painted, canvas, Visitor(looks=looks_of(scene.person)), MINIATURE)
        before.append(error(painted, asked, canvas.face_mask))
        after.append(error(restored, asked, canvas.face_mask))
    assert np.mean(after) < 0.75 * np.mean(before)


def test_a_face_that_is_told_comes_nearer_to_the_persons():
    """By the distance of its embedding, beside the same head restored by another person's face."""
    nearer = []
    for scene in scenes_at("CLS"):
        canvas, painted, looks = canvas_of(scene), smeared(scene, canvas_of(scene)), looks_of(scene.person)
        own, other = (embeddings_of(one) for one in (scene.person, people.random_person(7)))
        heads = [restore_head(painted, canvas, Visitor(told, looks), MINIATURE) for told in (own, other)]
        found = [likeness.measure(head, canvas.face_mask, own, detectors)["distance"] for head in heads]
        if None not in found:
            nearer.append(found[1] - found[0])
    assert len(nearer) > 5 and np.mean(nearer) > 0.05


def embeddings_of(person: people.Person) -> list:
    return [
        detectors.embed_face(photo, face)
        for photo in demo_content.photos_of(person, seed=3, count=3)
        for face in detectors.find_faces(photo)[:1]
    ]


def test_outside_the_mask_nothing_changes():
    (scene, *_), painted = scenes_at("MES"), Image.effect_noise((256, 256), 60).convert("RGB")
    canvas = canvas_of(scene)
    restored = restore_head(painted, canvas, UNKNOWN, MINIATURE)
    same = (np.asarray(restored) == np.asarray(painted)).all(axis=2)
    inside = np.asarray(canvas.face_mask) > 127
    assert same[~inside].all() and not same[inside].all()


def test_a_place_of_any_shape_keeps_its_size():
    (scene, *_) = scenes_at("CLS")
    box = (0, 40, 256, 208)
    parts = (one.crop(box) for one in dataclasses.astuple(canvas_of(scene)))
    canvas = Canvas(*parts)
    painted = scenes.draw_scene(scene).crop(box)
    assert restore_head(painted, canvas, UNKNOWN, MINIATURE).size == painted.size


def test_grey_hair_before_a_grey_sky_stays():
    kept = []
    for seed in SEEDS:
        person = dataclasses.replace(people.random_person(seed), age="old", hair_style="curly", hair_tone=0.0)
        scene = scenes.random_scene(seed, person, "CLS")
        sky = tuple(int(value) + 12 for value in person.hair_colour)
        canvas = dataclasses.replace(canvas_of(scene), background=Image.new("RGB", (256, 256), sky))
        painted = Image.composite(scenes.draw_scene(scene), canvas.background, scenes.silhouette(scene))
        restored = restore_head(painted, canvas, Visitor(looks=looks_of(person)), MINIATURE)
        hair = np.asarray(scenes.head_silhouette(scene)) > 127
        hair[round(scene.pose.head[1] - 0.4 * scene.pose.head_half) :] = False  # only above the eyes
        kept.append((np.abs(np.asarray(restored).astype(int) - sky).max(axis=2) > 5)[hair].mean())
    assert np.mean(kept) > 0.9


def test_the_visitors_glasses_are_drawn_where_the_painting_has_none():
    darker = []
    for scene in scenes_at("CLS"):
        bare = dataclasses.replace(scene, person=dataclasses.replace(scene.person, glasses=0.0, beard=0.0))
        canvas, painted = canvas_of(bare), scenes.draw_scene(bare)
        told = {"beard": "none", "glasses": "none"}
        without, worn = (
            restore_head(painted, canvas, Visitor(looks=told | {"glasses": one}), MINIATURE)
            for one in ("none", "square")
        )
        darker.append(np.asarray(without, float).mean() - np.asarray(worn, float).mean())
    assert np.mean(np.asarray(darker) > 0) > 0.8


def test_the_visitors_moustache_is_drawn_where_the_painting_has_none():
    """Where the drawing has a moustache, the error is smaller if the network is told of it."""
    smaller = []
    for seed in range(scenes.HELD_OUT + 40, scenes.HELD_OUT + 75):
        bare = dataclasses.replace(people.random_person(seed), beard=0.0)
        if bare.gender != "man" or bare.age == "young":
            continue
        worn = dataclasses.replace(bare, beard=0.4)
        scene = scenes.random_scene(seed, bare, "CLS")
        painted, asked = scenes.draw_scene(scene), scenes.draw_scene(dataclasses.replace(scene, person=worn))
        moustache = ImageChops.difference(painted, asked).convert("L").point(lambda v: 255 * (v > 20))
        without, told = (
            restore_head(painted, canvas_of(scene), Visitor(looks=looks_of(one)), MINIATURE)
            for one in (bare, worn)
        )
        if np.asarray(moustache).any():
            smaller.append(error(told, asked, moustache) / error(without, asked, moustache))
    assert len(smaller) > 5 and np.mean(smaller) < 0.85


def faded(scene: scenes.Scene, canvas: Canvas) -> Image.Image:
    """The drawing with a soft body, of which the lower half lets the place be seen."""
    soft = scenes.draw_scene(scene).filter(ImageFilter.GaussianBlur(1.2))
    veiled = Image.blend(soft, canvas.background, 0.5)
    legs = Image.new("L", (256, 256))
    legs.paste(255, (0, round(scene.pose.joints[joints.R_HIP][1]), 256, 256))
    return Image.composite(veiled, soft, legs.filter(ImageFilter.GaussianBlur(6)))


@pytest.mark.parametrize("shot", ["MES", "FUS"])
def test_a_faded_body_comes_nearer_to_the_drawing(shot):
    before, after = [], []
    for scene in scenes_at(shot)[:6]:
        canvas, asked = canvas_of(scene), scenes.draw_scene(scene)
        painted, body = faded(scene, canvas), ImageChops.subtract(scenes.silhouette(scene), canvas.face_mask)
        before.append(error(painted, asked, body))
        after.append(error(restore_body(painted, canvas, MINIATURE), asked, body))
    assert np.mean(after) < 0.8 * np.mean(before)


def test_a_body_changes_inside_the_subject_mask_only_and_no_head_changes_it():
    (scene, *_) = scenes_at("MES")
    canvas = canvas_of(scene)
    painted = faded(scene, canvas)
    restored = restore_body(painted, canvas, MINIATURE)
    changed = (np.asarray(restored) != np.asarray(painted)).any(axis=2)
    head, body = (np.asarray(one) > 0 for one in (canvas.face_mask, canvas.subject_mask))
    assert changed[body & ~head].any() and not changed[head | ~body].any()
    other = Image.composite(Image.new("RGB", (256, 256), "red"), painted, canvas.face_mask)
    same = np.asarray(restore_body(other, canvas, MINIATURE)) == np.asarray(restored)
    assert same.all(axis=2)[~head].all()


@pytest.mark.parametrize("reason", ["no network", "no skeleton"])
def test_without_a_network_or_a_skeleton_the_painting_stays(reason):
    (scene, *_) = scenes_at("MES")
    canvas, painted = canvas_of(scene), scenes.draw_scene(scene)
    if reason == "no skeleton":
        canvas = dataclasses.replace(canvas, skeleton=Image.new("RGB", (256, 256)))
    profile = SD15 if reason == "no network" else MINIATURE
    for restored in (restore_head(painted, canvas, UNKNOWN, profile), restore_body(painted, canvas, profile)):
        assert (np.asarray(restored) == np.asarray(painted)).all()


def test_a_far_head_is_finer_in_the_photograph_than_on_the_canvas():
    large, before, after = View(pixels=512), [], []
    for scene in scenes_at("FUS"):
        canvas, photograph = canvas_of(scene), scenes.draw_background(scene, large)
        asked, head = scenes.draw_scene(scene, large), scenes.head_silhouette(scene, large)
        painted, told = smeared(scene, canvas), Visitor(looks=looks_of(scene.person))
        for errors, profile in (
            (before, dataclasses.replace(MINIATURE, restoration="")), (after, MINIATURE),
        ):  # fmt: skip
            finished = in_photograph(painted, photograph, canvas, told, profile)
            assert finished.size == (512, 512)
            errors.append(error(finished, asked, head))
    assert np.mean(after) < 0.9 * np.mean(before)


def test_a_faded_body_is_restored_in_the_photograph(monkeypatch):
    """And not only evened out, which is done after it."""
    large, before, after = View(pixels=512), [], []
    for scene in scenes_at("MES")[:4]:
        canvas, photograph = canvas_of(scene), scenes.draw_background(scene, large)
        asked, head = scenes.draw_scene(scene, large), canvas.face_mask.resize((512, 512))
        body = ImageChops.subtract(scenes.silhouette(scene, large), head)
        for errors, restored in ((before, lambda painted, *_: painted), (after, restore_body)):
            monkeypatch.setattr(finishing, "restore_body", restored)
            finished = finishing.in_photograph(faded(scene, canvas), photograph, canvas, UNKNOWN, MINIATURE)
            errors.append(error(finished, asked, body))
    assert np.mean(after) < 0.8 * np.mean(before)


def test_finishing_leaves_the_steps_picture_as_it_is():
    (scene, *_) = scenes_at("MES")
    canvas = canvas_of(scene)
    painted = smeared(scene, canvas)
    before = painted.tobytes()
    finished = in_photograph(painted, canvas.background, canvas, UNKNOWN, MINIATURE)
    assert painted.tobytes() == before != finished.tobytes()


def test_nobody_gets_a_moustache_or_glasses(tmp_path):
    """Without a visitor, a picture is finished as of somebody who has neither. Told nothing, the network put
    moustaches on women."""
    (scene, *_) = scenes_at("CLS")
    canvas, painted, job = canvas_of(scene), smeared(scene, canvas_of(scene)), make_job(tmp_path / "job")
    canvas.background.save(job / "background.png")
    finished = step_process.finish(painted, job, canvas, GenerationRequest.load(job))
    plain, unknown = (
        in_photograph(painted, canvas.background, canvas, who, MINIATURE) for who in (NOBODY, UNKNOWN)
    )
    assert finished.tobytes() == plain.tobytes() != unknown.tobytes()


def mottled(drawing: Image.Image, share: Image.Image, seed: int = 1) -> Image.Image:
    """The drawing with smooth noise of some 6 of 255 inside ``share``."""
    noise = np.random.default_rng(seed).normal(0, 1, (90, 90, 3))
    noise = cv2.resize(noise, drawing.size, interpolation=cv2.INTER_CUBIC)
    spoilt = (np.asarray(drawing) + 6 * noise).clip(0, 255).astype(np.uint8)
    return Image.composite(Image.fromarray(spoilt), drawing, share)


@pytest.mark.parametrize(("pixels", "most"), [(256, 0.95), (512, 0.8), (1024, 0.8)])
def test_mottled_clothes_become_even_and_the_place_stays(pixels, most):
    view, before, after = View(pixels=pixels), [], []
    for scene in scenes_at("FUS")[:6]:
        asked, person = scenes.draw_scene(scene, view), scenes.silhouette(scene, view)
        painted, place = mottled(asked, person), scenes.draw_background(scene, view)
        flat = restoration.flattened(painted, place)
        before.append(error(painted, asked, person))
        after.append(error(flat, asked, person))
        away = np.asarray(person.filter(ImageFilter.MaxFilter(41))) == 0
        assert (np.asarray(flat) == np.asarray(place))[away].all()
    assert np.mean(after) < most * np.mean(before)


def test_colours_are_evened_out_outside_the_face_mask_and_inside_the_persons():
    (scene, *_) = scenes_at("MES")
    canvas, everywhere = canvas_of(scene), Image.new("L", (256, 256), 255)
    painted = mottled(scenes.draw_scene(scene), everywhere)
    flat = flatten_colours(painted, canvas, MINIATURE)
    changed = (np.asarray(flat) != np.asarray(painted)).any(axis=2)
    head, person = (np.asarray(one) for one in (canvas.face_mask, canvas.person_mask))
    assert not changed[head == 255].any() and not changed[person == 0].any() and changed[person > 0].any()
    assert flatten_colours(painted, canvas, SD15) is painted


def test_a_face_mask_with_a_soft_rim_leaves_no_line():
    """The place must not be seen through the rim, where the mask was enlarged."""
    (scene, *_) = scenes_at("MES")
    canvas, painted = canvas_of(scene), scenes.draw_scene(scene)
    soft = canvas.face_mask.filter(ImageFilter.BoxBlur(2))
    flat = flatten_colours(painted, dataclasses.replace(canvas, face_mask=soft), MINIATURE)
    rim = (np.asarray(soft) > 0) & (np.asarray(soft) < 255)
    assert (np.asarray(flat) == np.asarray(painted))[rim].all()
