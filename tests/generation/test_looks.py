"""Hair, beard and glasses are read from the photos, kept with the LoRA, and said to the steps that paint."""

import numpy as np
import pytest
import torch

from benchmarks.harness import photographs as real
from benchmarks.harness.clients import make_job
from benchmarks.harness.loras import small_lora
from diffuser_api.jobs import run_generation, status_changes
from diffuser_api.models import LoraModel
from generation import prompts
from generation.miniature import looks as reader
from generation.miniature.training import captions, samples, train_looks
from generation.miniature.world import people, scenes
from generation.models.profiles import MINIATURE, SD15
from generation.request import GenerationRequest
from generation.vision import looks, real_looks, real_people
from tests.generation.test_prompts import a_request, count_words

pytestmark = pytest.mark.models
CROWD = [scenes.HELD_OUT + 300 + number for number in range(20)]


def test_hair_beard_and_glasses_of_drawn_people_are_read_from_their_photos():
    wrong = []
    for seed in CROWD:
        person = people.random_person(seed)
        truth = {name: word for name, word in train_looks.looks_of(person).items() if word != looks.NONE}
        found = looks.settled(train_looks.readings_of(person, seed))
        wrong += [(seed, name) for name in looks.VALUES if found.get(name) != truth.get(name)]
    assert len(wrong) <= 3, wrong


def test_held_out_people_are_not_learned_from():
    with pytest.raises(ValueError, match="held out"):
        train_looks.sample(samples.SEEDS)


def test_the_reader_says_the_same_as_the_network_that_was_trained(tmp_path, monkeypatch):
    network = train_looks.train(count=128, epochs=2)
    monkeypatch.setattr(reader, "FILE", tmp_path / "looks.npz")
    reader.network.cache_clear()
    train_looks.save(network)
    chip, _ = train_looks.sample(train_looks.FIRST)
    trained = network(torch.tensor(chip).flatten()[None]).detach().numpy()[0]
    assert np.allclose(reader.scores(chip), trained, atol=0.02) and np.ptp(trained) > 0.1
    reader.network.cache_clear()


def test_the_miniature_is_told_looks_in_the_words_of_its_captions():
    for seed in range(200):
        person = people.random_person(seed)
        said = MINIATURE.style.looks.phrases(train_looks.looks_of(person))
        assert said == ", ".join(captions.looks(person)[1:])


def test_of_a_photograph_only_what_is_sure_is_said():
    face = real_people.find_faces(real.astronaut())[0]
    found = real_people.read_looks(real.astronaut(), face)
    assert "glasses" not in found and found.get("beard") == "none"
    assert found.get("hair") in (None, "brown", "auburn")
    assert found.get("style") in (None, "short", "curly")
    shaven = real_people.read_looks(real.obama(), real_people.find_faces(real.obama())[0])
    assert shaven.get("beard") in (None, "none") and shaven.get("hair") in (None, "black", "grey")


@pytest.mark.parametrize(
    ("lab", "name"),
    [
        ((12, 1, 1), "black"),
        ((30, 8, 14), "brown"),
        ((40, 30, 28), "red"),
        ((75, 5, 28), "blond"),
        ((70, 0, 2), "grey"),
        ((35, 20, -45), None),  # a blue cap
        ((40, -35, 20), None),  # a green one
    ],
)
def test_a_photographs_hair_has_a_colour_of_hair_or_none(lab, name):
    assert real_looks.colour_name(lab) == name


@pytest.mark.parametrize(
    ("readings", "settled"),
    [
        ([{"hair": "red"}] * 3 + [{"hair": "brown"}] * 2, {"hair": "red"}),
        ([{"hair": "red"}] * 2 + [{"hair": "brown"}] * 2, {}),
        ([{"beard": "beard"}, {}, {}, {}, {}], {}),
        ([{"beard": "none"}] * 3 + [{"beard": "beard"}] * 2, {}),
        ([{"style": "bald", "hair": "brown"}] * 5, {"style": "bald"}),
        ([], {}),
    ],
)
def test_what_the_photos_disagree_on_is_not_said(readings, settled):
    assert looks.settled(readings) == settled


def test_the_body_is_painted_with_the_visitors_looks_in_the_models_own_words():
    request = a_request(
        skin_tone="dark", looks={"hair": "brown", "style": "long", "beard": "beard", "glasses": "round"}
    )
    drawn = prompts.scene_prompt(request, MINIATURE.style, count_words).text
    assert "young woman, dark skin, brunette long hair, beard, round glasses, waving" in drawn
    assert "long brown hair, beard, glasses" in prompts.scene_prompt(request, SD15.style, count_words).text
    bald = a_request(looks={"style": "bald"})
    assert "woman, bald, waving" in prompts.scene_prompt(bald, MINIATURE.style, count_words).text
    unsure = a_request(looks={"hair": "red"})
    assert "woman, ginger hair, waving" in prompts.scene_prompt(unsure, MINIATURE.style, count_words).text


def test_without_looks_the_prompt_is_as_it_was():
    assert prompts.scene_prompt(a_request(), MINIATURE.style, count_words).text == (
        "young woman, waving with one hand raised, wearing a red coat, old town square"
    )


def test_looks_go_from_the_photos_to_the_lora_to_the_request(client, catalogue, tmp_path, photos):
    from benchmarks.harness.api_requests import send

    code = send(client, photos).json()["lora_code"]
    job = status_changes.claim(code)
    kept = [photo.looks for photo in job.photos.all()]
    assert all(isinstance(one, dict) for one in kept) and any(kept)
    assert status_changes.finish_training(job, small_lora())
    lora = LoraModel.objects.get(code=code)
    assert lora.looks == looks.settled(kept) and lora.looks
    run_generation.fill(tmp_path, make_job(lora=lora))
    assert GenerationRequest.load(tmp_path).looks == lora.looks


def test_the_face_is_painted_with_the_visitors_looks_too():
    request = a_request(looks={"hair": "brown", "style": "long", "glasses": "round"})
    said = prompts.face_prompt(request, SD15.style, count_words).text
    assert "long brown hair, glasses, wearing" in said


def test_looks_that_a_picture_shows_otherwise_differ_and_unsure_ones_do_not():
    mine = {"hair": "grey", "style": "short", "glasses": "round"}
    assert looks.differing(mine | {"beard": "none"}, mine) == []
    assert looks.differing({"hair": "grey"}, mine) == []
    assert looks.differing(mine | {"beard": "beard", "hair": "black"}, mine) == ["beard", "hair"]
    assert looks.differing({"style": "short", "glasses": "none"}, mine) == ["glasses"]
