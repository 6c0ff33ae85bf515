"""Which models a profile takes, and in which files."""

import re

import pytest
import torch

from generation import pipelines, profiles
from generation.profiles import get_profile
from tests.small_models import make_small_family


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    return make_small_family(tmp_path_factory.mktemp("family"))


def test_stable_diffusion_is_taken_from_the_hub_by_commit():
    sd15 = profiles.SD15
    for model in (sd15.inpaint_model, sd15.controlnet_model, sd15.detail_model, sd15.training_model):
        assert re.fullmatch(r"[0-9a-f]{40}", model.revision), model


@pytest.mark.parametrize(
    "text", ["owner/name", "owner/name@main", "folder-that-is-not-there", "a/b/c@" + 40 * "0"]
)
def test_a_model_without_its_commit_is_refused_with_what_to_write(text, monkeypatch):
    monkeypatch.setenv("DETAIL_MODEL", text)
    with pytest.raises(ValueError, match="OWNER/NAME@<40 hexadecimal digits>"):
        get_profile("sd15")


def test_a_model_with_its_commit_and_a_folder_are_taken(monkeypatch, tmp_path):
    commit = "0123456789abcdef" * 2 + "01234567"
    monkeypatch.setenv("DETAIL_MODEL", f"owner/name@{commit}")
    monkeypatch.setenv("INPAINT_MODEL", str(tmp_path))
    profile = get_profile("sd15")
    assert (profile.detail_model.id, profile.detail_model.revision) == ("owner/name", commit)
    assert profile.inpaint_model == profiles.ModelRef(str(tmp_path))


def test_a_folder_of_the_half_precision_variant_is_read(family, monkeypatch):
    """As Stable Diffusion's inpainting model is published: no other safetensors."""
    names = {"INPAINT_MODEL": "inpaint", "CONTROLNET_MODEL": "controlnet", "DETAIL_MODEL": "text2img"}
    for variable, name in names.items():
        monkeypatch.setenv(variable, str(family / name))
    before = pipelines.Shelf().fetch("pose", get_profile())
    for path in family.rglob("*.safetensors"):
        path.rename(path.with_name(path.name.replace(".safetensors", ".fp16.safetensors")))
    after = pipelines.Shelf().fetch("pose", get_profile())
    for part in ("unet", "vae", "text_encoder", "controlnet"):
        for key, tensor in before[part].state_dict().items():
            assert torch.equal(tensor, after[part].state_dict()[key]), (part, key)
