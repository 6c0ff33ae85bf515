"""What the environment changes in a profile, and what it can't be."""

import dataclasses

import pytest

from generation.models.profiles import MINIATURE, get_profile


def test_denoising_steps_shorten_every_step_and_leave_each_at_least_one(monkeypatch):
    monkeypatch.setenv("DENOISING_STEPS", "2")
    for name in ("miniature", "sd15"):
        profile = get_profile(name)
        assert profile.pose.steps == 2
        for settings in (profile.pose, profile.detail, profile.harmonize, profile.face):
            assert int(settings.steps * settings.strength) >= 1


@pytest.mark.parametrize("variable", ["DENOISING_STEPS", "TRAINING_STEPS", "FACE_CANDIDATES"])
@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_number_out_of_range_is_refused_by_name(variable, text, monkeypatch):
    monkeypatch.setenv(variable, text)
    with pytest.raises(ValueError, match=f"{variable}='{text}'"):
        get_profile()


def test_one_setting_leaves_the_rest_of_the_profile_as_it_was(monkeypatch):
    monkeypatch.setenv("TRAINING_STEPS", "7")
    profile = get_profile("miniature")
    assert profile.training.steps == 7 and profile.pose == MINIATURE.pose


@pytest.mark.parametrize("text", ["yes", "2", "-1"])
def test_a_switch_that_is_neither_0_nor_1_is_named(text, monkeypatch):
    monkeypatch.setenv("FULL_SIZE", text)
    with pytest.raises(ValueError, match=f"FULL_SIZE='{text}' is neither 0 nor 1"):
        get_profile()


def test_the_trainer_is_told_what_was_switched_on():
    switched = dataclasses.replace(MINIATURE.training, mask_background=True, choose_checkpoint=True)
    told = switched.environment()
    assert told["ALPHA_MASK"] == told["CHOOSE_CHECKPOINT"] == "1"
    assert not {"ALPHA_MASK", "CHOOSE_CHECKPOINT"} & MINIATURE.training.environment().keys()
