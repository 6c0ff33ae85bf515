"""Likeness: is there a face in the face mask, whose is it, and where that is said."""

import dataclasses

import pytest
from PIL import Image

from benchmarks.harness import photographs as real
from benchmarks.harness.clients import make_job
from benchmarks.harness.loras import small_lora
from diffuser_api.jobs import run_generation, status_changes
from diffuser_api.models import Job, LoraModel
from generation.miniature import demo_content, detectors
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import View
from generation.request import GenerationRequest
from generation.vision import likeness, real_people, skin
from generation.vision.compare import SAME_PERSON
from generation.vision.visitor import Visitor

ME, SOMEBODY_ELSE = scenes.HELD_OUT + 3, scenes.HELD_OUT + 8


def faces_of(seed: int) -> list[list[float]]:
    photos = demo_content.photos_of(people.random_person(seed), seed)
    return [detectors.embed_face(photo, detectors.find_faces(photo)[0]).tolist() for photo in photos]


@pytest.mark.parametrize("shot", ["CLS", "MES"])
def test_a_drawn_face_is_near_to_its_own_photos_alone(shot):
    scene = scenes.random_scene(scenes.HELD_OUT + 77, people.random_person(ME), shot)
    picture, mask = scenes.draw_scene(scene, View(pixels=384)), scenes.face_mask(scene, View(pixels=384))
    mine = likeness.measure(picture, mask, faces_of(ME), detectors)
    other = likeness.measure(picture, mask, faces_of(SOMEBODY_ELSE), detectors)
    assert mine["face"] and mine["distance"] < SAME_PERSON < other["distance"]
    empty = scenes.draw_background(scene, View(pixels=384))
    assert likeness.measure(empty, mask, faces_of(ME), detectors) == {"face": False, "distance": None}


def test_of_several_faces_the_persons_own_is_chosen_and_then_the_one_with_their_looks():
    me = dataclasses.replace(people.random_person(ME), glasses=0.0)
    own = scenes.random_scene(scenes.HELD_OUT + 77, me, "CLS")
    other, with_glasses = (
        dataclasses.replace(own, person=person)
        for person in (people.random_person(SOMEBODY_ELSE), dataclasses.replace(me, glasses=0.9))
    )
    mask = scenes.face_mask(own, View(pixels=384))
    pictures = [scenes.draw_scene(scene, View(pixels=384)) for scene in (other, with_glasses, own)]
    photos = [
        scenes.draw_scene(dataclasses.replace(own, person=one), View(pixels=384))
        for one in (me, dataclasses.replace(me, glasses=0.9))
    ]
    plain, glassy = (
        [detectors.embed_face(photo, detectors.find_faces(photo)[0]).tolist()] for photo in photos
    )
    assert likeness.nearest(pictures, mask, Visitor(plain), detectors) is pictures[2]
    assert likeness.nearest(pictures[:2], mask, Visitor(plain), detectors) is pictures[1]
    assert likeness.nearest(pictures, mask, Visitor(glassy, {"glasses": "square"}), detectors) is pictures[1]


def test_a_face_beside_the_mask_does_not_count():
    face = real_people.find_faces(real.obama())[0]
    known = [real_people.embed_face(real.obama(), face).tolist()]
    mask = Image.new("L", real.obama().size)
    mask.paste(255, tuple(round(edge) for edge in face.box))
    assert likeness.measure(real.obama(), mask, known, real_people)["distance"] < 0.2
    away = Image.new("L", mask.size)
    away.paste(255, (100, 700, 250, 850))
    assert likeness.measure(real.obama(), away, known, real_people) == {"face": False, "distance": None}
    assert not likeness.measure(real.obama(), Image.new("L", mask.size), known, real_people)["face"]


def test_faces_go_from_the_photos_to_the_lora_to_the_request(client, catalogue, tmp_path, photos):
    from benchmarks.harness.api_requests import send

    code = send(client, photos).json()["lora_code"]
    job = status_changes.claim(code)
    kept = [photo.face for photo in job.photos.all()]
    skins = [photo.skin for photo in job.photos.all()]
    assert [len(face) for face in kept] == [128] * 5
    assert status_changes.finish_training(job, small_lora())
    lora = LoraModel.objects.get(code=code)
    assert lora.faces == kept
    assert lora.skin_tone == skin.tone(skins) and lora.skin == skin.colour(skins)
    picture = make_job(lora=lora)
    run_generation.fill(tmp_path, picture)
    request = GenerationRequest.load(tmp_path)
    assert request.faces == kept and request.skin_tone == lora.skin_tone and request.skin == lora.skin


def test_the_job_answers_with_the_likeness_of_its_face_step(client, catalogue):
    job = Job.objects.create(code="12345678", kind=Job.Kind.GENERATION, status=Job.Status.RUNNING)
    url = f"/api/jobs/{job.code}/"
    assert client.get(url).json()["likeness"] is None
    status_changes.add_timing(job, {"step": "pose"})
    status_changes.add_timing(job, {"step": "face", "likeness": {"face": True, "distance": 0.41}})
    said = {"verdict": "very_like", "message": "The face is very like the photos."}
    assert client.get(url).json()["likeness"] == {"face": True, "distance": 0.41} | said


def test_the_job_answers_with_the_words_that_were_left_out(client, catalogue):
    job = Job.objects.create(code="12345678", kind=Job.Kind.GENERATION, status=Job.Status.RUNNING)
    url = f"/api/jobs/{job.code}/"
    assert client.get(url).json()["left_out"] == {}
    status_changes.add_timing(job, {"step": "pose", "left_out": {"other_details": "and a scarf"}})
    status_changes.add_timing(job, {"step": "face"})
    assert client.get(url).json()["left_out"] == {"other_details": "and a scarf"}
