"""Prompts name who, what, wearing and where, and never pass CLIP's 77 tokens."""

import logging

import pytest

from generation import prompts
from generation.models.profiles import MINIATURE, get_profile
from generation.request import GenerationRequest, InvalidRequest


def a_request(**changes) -> GenerationRequest:
    values = {
        "code": "12345678",
        "profile": "sd15",
        "seed": 1,
        "background": "b.png",
        "skeleton": "s.png",
        "subject_mask": "m.png",
        "face_mask": "f.png",
        "age": "young",
        "gender": "woman",
        "action_description": "waving with one hand raised",
        "other_details": "a red coat",
        "place_description": "old town square",
    }
    return GenerationRequest.from_dict(values | changes)


def count_words(text: str) -> int:
    return len(text.replace(",", " ,").split()) + 2


STYLE = get_profile("sd15").style


def test_scene_prompt_says_who_what_wearing_where():
    prompt = prompts.scene_prompt(a_request(), STYLE, count_words)
    for part in ("young woman", "waving with one hand raised", "wearing a red coat", "old town square"):
        assert part in prompt


def test_body_and_face_get_the_visitors_skin():
    request = a_request(skin_tone="dark")
    assert "young woman, dark skin, waving" in prompts.scene_prompt(request, STYLE, count_words)
    assert "young woman, dark skin, wearing" in prompts.face_prompt(request, STYLE, count_words)
    assert "skin" not in prompts.scene_prompt(a_request(), MINIATURE.style, count_words)


def test_without_details_the_prompt_names_no_clothes():
    assert "wearing" not in prompts.scene_prompt(a_request(other_details=""), STYLE, count_words)


def test_face_prompt_calls_the_visitor_by_the_trained_token():
    assert "sks person" in prompts.face_prompt(a_request(), STYLE, count_words)


def test_least_important_words_go_first_and_the_log_says_so(caplog):
    request = a_request(place_description="a very long way round " * 14)
    with caplog.at_level(logging.WARNING):
        prompt = prompts.scene_prompt(request, STYLE, count_words)
    assert count_words(prompt) <= prompts.CLIP_TOKENS
    assert "wearing a red coat" in prompt and "highly detailed" not in prompt
    assert "left out" in caplog.text


@pytest.mark.parametrize("details", ["word " * 500, "x" * 3000])
def test_any_length_of_details_fits(details):
    def count_letters(text: str) -> int:
        return len(text) // 3 + 2

    prompt = prompts.scene_prompt(a_request(other_details=details), STYLE, count_letters)
    assert count_letters(prompt) <= prompts.CLIP_TOKENS
    assert "young woman" in prompt


@pytest.mark.parametrize(
    "change", [{"age": "ancient"}, {"gender": ""}, {"seed": -1}, {"seed": 2**32}, {"seed": True}]
)
def test_a_request_refuses_values_out_of_range(change):
    with pytest.raises(InvalidRequest, match=next(iter(change))):
        a_request(**change)


def test_a_request_names_unknown_and_missing_fields():
    with pytest.raises(InvalidRequest, match="colour"):
        GenerationRequest.from_dict({"colour": "red"})


def test_a_request_survives_its_json(tmp_path):
    request = a_request(
        other_details="scarf 🧣 «rosso»", lora="l.safetensors", lora_code="87654321", lora_scale=0.5
    )
    request.save(tmp_path)
    assert GenerationRequest.load(tmp_path) == request
