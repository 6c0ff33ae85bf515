"""A mask that is too small at the size that is painted is refused before the first step."""

import pytest
from PIL import Image, ImageDraw

from benchmarks.harness.job_folders import make_job
from generation import generator, generator_classic, job_folder
from generation.miniature import demo_content
from generation.models.profiles import MINIATURE, SD15
from generation.picture import paintable
from generation.picture.canvas import canvas_size, fit_mask
from generation.request import InvalidRequest


def a_mask(side: int, frame: int = 2048) -> Image.Image:
    mask = Image.new("L", (frame, frame))
    ImageDraw.Draw(mask).rectangle((900, 900, 899 + side, 899 + side), fill=255)
    return mask


def fail(*_):
    pytest.fail("a step was begun")


@pytest.mark.parametrize("field", paintable.MASKS)
@pytest.mark.parametrize("make", [generator.generate, generator_classic.generate])
def test_a_mask_that_vanishes_in_the_canvas_is_refused_before_any_step(field, make, tmp_path, monkeypatch):
    monkeypatch.setattr(generator, "run_step", fail)
    monkeypatch.setattr(generator_classic, "Easel", fail)
    (tmp_path / "lora.safetensors").write_bytes(b"not read")
    job = make_job(tmp_path / "job", lora=tmp_path / "lora.safetensors")
    a_mask(1).save(job / f"{field.replace('_', '-')}.png")
    with pytest.raises(InvalidRequest, match=f"{field}: .* too small: .* thickest part is 0 wide"):
        make(job)


def test_without_a_lora_the_face_mask_is_not_asked_for(tmp_path):
    job = make_job(tmp_path)
    a_mask(1).save(job / "face-mask.png")
    request = job_folder.GenerationRequest.load(job)
    assert job_folder.read_canvas(job, request, MINIATURE).size == (256, 256)


@pytest.mark.parametrize("thick", [0, 1, 7, 64, 200])
def test_thickness_is_the_side_of_the_largest_white_square(thick):
    mask = Image.new("L", (256, 200))
    ImageDraw.Draw(mask).line((0, 5, 255, 5), fill=255)
    mask.paste(255, (40, 200 - thick, 40 + thick, 200))
    assert paintable.thickness(mask) == max(1, thick)


@pytest.fixture(scope="module")
def demo_actions():
    return demo_content.actions()


@pytest.mark.parametrize("profile", [MINIATURE, SD15], ids=["miniature", "sd15"])
@pytest.mark.parametrize("place", [(256, 256), (1600, 900), (900, 1600), (1500, 500)])
def test_the_demos_shots_can_be_painted_in_every_usual_place(profile, place, demo_actions):
    size = canvas_size(*place, profile.pixel_budget)
    for action in demo_actions:
        for shot_type, shot in action.shots.items():
            for field in paintable.MASKS:
                mask = fit_mask(getattr(shot, field), size)
                assert paintable.problem(field, mask, profile.feather) is None, (action.name, shot_type)
