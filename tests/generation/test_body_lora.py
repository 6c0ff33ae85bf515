"""The visitor's LoRA in the steps before the face: off by default, and then nothing changes."""

import dataclasses

import numpy as np
import pytest

from benchmarks.harness.job_folders import make_job, read_inputs
from generation import prompts
from generation.models import pipelines
from generation.models.profiles import MINIATURE, get_profile
from generation.processes import step_process
from generation.record import step_record
from tests.generation.test_prompts import a_request, count_words

pytestmark = pytest.mark.models


def pose(job) -> tuple[np.ndarray, dict]:
    """The picture of the first step, and its record."""
    inputs, cache = read_inputs(job), pipelines.PipelineCache()
    pipeline = step_process.load_pipeline("pose", job, inputs.request, inputs.profile, cache)
    picture = np.asarray(inputs.paint("pose", 1, inputs.canvas.background, pipeline)).astype(int)
    prompt = step_process.prompt_of("pose", inputs.request, inputs.profile, pipeline)
    pipelines.remove_lora(pipeline)
    assert not getattr(pipeline.unet, "peft_config", None)
    return picture, step_record("pose", 1, inputs.request, inputs.profile, prompt)


def test_the_lora_works_in_the_body_only_where_the_profile_says_so(family, tmp_path, monkeypatch):
    lora = family / "lora.safetensors"
    without, _ = pose(make_job(tmp_path / "none"))
    off, record = pose(make_job(tmp_path / "off", lora=lora))
    assert (off == without).all() and "sks" not in record["prompt"] and "lora_code" not in record
    monkeypatch.setenv("BODY_LORA", "0.6")
    on, record = pose(make_job(tmp_path / "on", lora=lora))
    assert (on != without).any()
    assert record["prompt"].startswith("photo of sks person, ") and record["lora_code"] == "87654321"
    nobody, record = pose(make_job(tmp_path / "nobody"))
    assert (nobody == without).all() and "sks" not in record["prompt"]


def test_the_visitor_is_named_only_with_a_lora():
    request = a_request(lora="l.safetensors")
    text = prompts.scene_prompt(request, MINIATURE.style, count_words, named=True).text
    assert text.startswith("photo of sks person, young woman")
    assert "sks" not in prompts.scene_prompt(a_request(), MINIATURE.style, count_words, named=True).text


def test_the_scale_of_the_body_is_a_share_of_the_requests():
    half = dataclasses.replace(MINIATURE, body_lora=0.5)
    assert [half.lora_scale(name, 0.8) for name in ("pose", "harmonize", "face")] == [0.4, 0.4, 0.8]


@pytest.mark.parametrize(("text", "scale"), [("0", 0.0), ("1", 1.0), ("0.6", 0.6), (".5", 0.5)])
def test_the_settings_can_be_set(text, scale, monkeypatch):
    monkeypatch.setenv("BODY_LORA", text)
    monkeypatch.setenv("REPAINTS", "2")
    assert get_profile().body_lora == scale and get_profile().repaints == 2


@pytest.mark.parametrize(("name", "text"), [("BODY_LORA", "1.5"), ("BODY_LORA", "x"), ("REPAINTS", "3")])
def test_impossible_settings_are_refused(name, text, monkeypatch):
    monkeypatch.setenv(name, text)
    with pytest.raises(ValueError, match=name):
        get_profile()
