"""Prompts name who, what, wearing and where, and never pass CLIP's 77 tokens."""

import logging
from functools import cache
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

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
    prompt = prompts.scene_prompt(a_request(), STYLE, count_words).text
    for part in ("young woman", "waving with one hand raised", "wearing a red coat", "old town square"):
        assert part in prompt


def test_body_and_face_get_the_visitors_skin():
    request = a_request(skin_tone="dark")
    assert "young woman, dark skin, waving" in prompts.scene_prompt(request, STYLE, count_words).text
    assert "young woman, dark skin, wearing" in prompts.face_prompt(request, STYLE, count_words).text
    assert "skin" not in prompts.scene_prompt(a_request(), MINIATURE.style, count_words).text


def test_without_details_the_prompt_names_no_clothes():
    assert "wearing" not in prompts.scene_prompt(a_request(other_details=""), STYLE, count_words).text


def test_face_prompt_calls_the_visitor_by_the_trained_token():
    assert "sks person" in prompts.face_prompt(a_request(), STYLE, count_words).text


@cache
def tokenizer():
    return CLIPTokenizer.from_pretrained(Path(MINIATURE.inpaint_model.id) / "tokenizer")


def count_tokens(text: str) -> int:
    return len(tokenizer()(text, truncation=False, verbose=False).input_ids)


CLOTHES = (
    "a long dark green coat of heavy wool with golden buttons and a wide belt, brown leather boots with red "
    "laces, a white shirt with a round collar, a grey felt hat with a blue ribbon, thin black gloves, a silk "
    "scarf with yellow flowers, a silver chain with a small key, a round watch with a fine strap"
)


@pytest.mark.parametrize("style", [STYLE, MINIATURE.style], ids=["sd15", "miniature"])
def test_clothes_of_298_characters_lose_their_last_words_and_the_place_none(style):
    prompt = prompts.scene_prompt(a_request(other_details=CLOTHES), style, count_tokens)
    assert len(CLOTHES) == 298 and prompts.CLIP_TOKENS - 10 < count_tokens(prompt.text) <= prompts.CLIP_TOKENS
    assert "waving with one hand raised" in prompt.text and "old town square" in prompt.text
    kept = prompt.text.split("wearing ")[1].split(", old town")[0]
    assert CLOTHES.startswith(kept) and len(kept) > 100
    assert CLOTHES.endswith(prompt.left_out["other_details"])
    assert kept.replace(",", "").split() + prompt.left_out["other_details"].replace(",", "").split() == (
        CLOTHES.replace(",", "").split()
    )


def test_long_clothes_leave_a_place_of_many_words_whole():
    place = "the old town square with its fountain, the arcades and a tall clock tower"
    request = a_request(other_details=CLOTHES, place_description=place)
    prompt = prompts.scene_prompt(request, STYLE, count_tokens)
    assert place in prompt.text and set(prompt.left_out) == {"other_details"}


def test_of_long_clothes_and_a_long_place_both_keep_their_first_words():
    request = a_request(other_details=CLOTHES, place_description="a quiet yard behind the old mill " * 9)
    prompt = prompts.scene_prompt(request, STYLE, count_tokens)
    assert count_tokens(prompt.text) <= prompts.CLIP_TOKENS
    assert "wearing a long dark green coat of heavy" in prompt.text and "a quiet yard behind" in prompt.text
    assert set(prompt.left_out) == {"other_details", "place_description"}


def test_a_text_without_spaces_keeps_its_beginning():
    prompt = prompts.scene_prompt(a_request(other_details="赤い帽子と青いコート" * 30), STYLE, count_tokens)
    assert "wearing 赤い" in prompt.text and count_tokens(prompt.text) <= prompts.CLIP_TOKENS


def test_a_prompt_that_fits_is_taken_as_it_is_written():
    prompt = prompts.scene_prompt(a_request(other_details="a  red coat,"), MINIATURE.style, count_tokens)
    assert prompt.left_out == {}
    assert prompt.text == ("young woman, waving with one hand raised, wearing a  red coat,, old town square")


def test_least_important_words_go_first_and_the_log_says_so(caplog):
    request = a_request(place_description="a very long way round " * 14)
    with caplog.at_level(logging.WARNING):
        prompt = prompts.scene_prompt(request, STYLE, count_words).text
    assert count_words(prompt) <= prompts.CLIP_TOKENS
    assert "wearing a red coat" in prompt and "highly detailed" not in prompt
    assert "left out" in caplog.text


@pytest.mark.parametrize("details", ["word " * 500, "x" * 3000])
def test_any_length_of_details_fits(details):
    def count_letters(text: str) -> int:
        return len(text) // 3 + 2

    prompt = prompts.scene_prompt(a_request(other_details=details), STYLE, count_letters).text
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
