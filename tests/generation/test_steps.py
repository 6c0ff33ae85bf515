"""What each step may change, on a small family of random weights: real pipelines, in this process."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from benchmarks.harness.job_folders import make_job, read_inputs
from generation import job_folder, steps
from generation.models import pipelines, profiles
from generation.models.profiles import get_profile
from generation.picture import face_colours
from generation.picture.canvas import canvas_size
from generation.picture.enlarging import CloseUp
from generation.processes import step_process
from generation.record import step_record
from generation.request import InvalidRequest
from generation.vision import likeness


def pipeline_of(name, inputs):
    cache = pipelines.PipelineCache()
    return step_process.load_pipeline(name, inputs.job, inputs.request, inputs.profile, cache)


def painted(name, job, *, index=1, picture=None, seed=None):
    inputs = read_inputs(job)
    if seed is not None:
        inputs = dataclasses.replace(inputs, request=dataclasses.replace(inputs.request, seed=seed))
    picture = picture or inputs.canvas.background
    done = []

    def on_step(pipeline, number, timestep, tensors):
        done.append(number + 1)
        return {}

    after = inputs.paint(name, index, picture, pipeline_of(name, inputs), on_step)
    assert done and done[-1] == inputs.profile.performed(name) == len(done)
    return inputs.canvas, np.asarray(picture).astype(int), np.asarray(after).astype(int)


@pytest.mark.parametrize("name", ["pose", "detail"])
@pytest.mark.parametrize("size", [(256, 256), (640, 360)])
def test_pose_and_detail_change_the_subject_mask_only(name, size, family, tmp_path):
    canvas, before, after = painted(name, make_job(tmp_path, size=size))
    inside = np.asarray(canvas.subject_mask) > 0
    assert (before[~inside] == after[~inside]).all()
    assert np.abs(before - after)[inside].mean() > 1


def test_a_preview_of_the_first_step_shows_the_subject_and_changes_nothing(family, tmp_path):
    job = make_job(tmp_path)
    canvas, _, plain = painted("pose", job)
    inputs = read_inputs(job)

    def on_step(pipeline, number, timestep, tensors):
        if number + 1 == inputs.profile.pose.performed // 2:
            step_process.write_preview(pipeline, canvas, inputs.profile, job)
        return {}

    after = inputs.paint("pose", 1, canvas.background, pipeline_of("pose", inputs), on_step)
    assert (np.asarray(after) == plain).all()
    with Image.open(job / job_folder.PREVIEW) as preview:
        moved = np.abs(np.asarray(preview).astype(int) - np.asarray(canvas.background)).max(axis=2)
    inside = np.asarray(canvas.subject_mask) > 0
    assert not moved[~inside].any() and moved[inside].mean() > 1


def test_harmonize_moves_the_place_by_its_limit_at_most(family, tmp_path):
    canvas, before, after = painted("harmonize", make_job(tmp_path))
    moved = np.abs(before - after)
    inside = np.asarray(canvas.subject_mask) > 0
    assert 0 < moved[~inside].max() <= get_profile("miniature").harmonize_limit


def test_face_changes_the_face_mask_only(family, tmp_path):
    canvas, before, after = painted("face", make_job(tmp_path, lora=family / "lora.safetensors"))
    inside = np.asarray(canvas.face_mask) > 0
    assert (before[~inside] == after[~inside]).all()
    assert np.abs(before - after)[inside].mean() > 1


def test_a_lora_changes_nothing_at_scale_0_the_face_at_1_and_half_of_it_at_a_half(family, tmp_path):
    lora = family / "lora.safetensors"
    _, _, without = painted("face", make_job(tmp_path / "none"))
    _, _, zero = painted("face", make_job(tmp_path / "zero", lora=lora, lora_scale=0.0))
    _, _, whole = painted("face", make_job(tmp_path / "one", lora=lora))
    assert (without == zero).all()
    _, _, half = painted("face", make_job(tmp_path / "half", lora=lora, lora_scale=0.5))
    assert 0 < np.abs(half - zero).mean() < np.abs(whole - zero).mean()
    assert 0 < np.abs(half - whole).mean() < np.abs(whole - zero).mean()


def test_words_that_the_prompt_has_no_room_for_are_in_the_steps_record(family, tmp_path):
    clothes = " ".join(f"coat{number}" for number in range(40))

    def record_with(details: str) -> dict:
        inputs = read_inputs(make_job(tmp_path, other_details=details))
        request, profile = inputs.request, inputs.profile
        prompt = step_process.prompt_of("pose", request, profile, pipeline_of("pose", inputs))
        return step_record("pose", 1, request, profile, prompt)

    record = record_with(clothes)
    assert "coat0 coat1" in record["prompt"] and "coat39" not in record["prompt"]
    assert record["left_out"]["other_details"].endswith("coat38 coat39")
    assert "left_out" not in record_with("a coat")


def test_of_several_faces_the_nearest_to_the_photos_is_kept(family, tmp_path, monkeypatch):
    """The first candidate is the face that is painted alone; another is kept if it is chosen."""
    _, _, alone = painted("face", make_job(tmp_path / "one", faces=[]))
    offered = []

    def last(pictures, *_):
        offered.extend(np.asarray(picture).astype(int) for picture in pictures)
        return pictures[-1]

    monkeypatch.setattr(likeness, "nearest", last)
    monkeypatch.setattr(steps, "restore_head", lambda painting, *_: painting)
    monkeypatch.setenv("FACE_CANDIDATES", "3")
    _, _, kept = painted("face", make_job(tmp_path / "three", faces=[[0.0] * 128]))
    portraits, faces = offered[:3], offered[3:]
    assert len(portraits) == len(faces) == 3
    differences = [np.abs(one - alone).mean() for one in faces]
    # A batch's arithmetic is rounded elsewhere.
    assert differences[0] < 0.05 * min(differences[1:])
    assert (kept == faces[2]).all() and (kept != faces[0]).any()


def test_a_small_subject_is_painted_as_a_close_up(family, tmp_path, monkeypatch):
    """The pipelines get a part of the place, enlarged; the result is in the small mask alone."""
    mask = Image.new("L", (256, 256))
    mask.paste(255, (100, 120, 150, 220))
    seen = []
    enlarge = CloseUp.enlarge
    monkeypatch.setattr(
        CloseUp, "enlarge", lambda self, picture: seen.append(self.box) or enlarge(self, picture)
    )
    job = make_job(tmp_path)
    mask.save(job / "subject-mask.png")
    for name in ("pose", "detail"):
        canvas, before, after = painted(name, job)
        inside = np.asarray(canvas.subject_mask) > 0
        assert (before[~inside] == after[~inside]).all() and np.abs(before - after)[inside].mean() > 0.5
    assert set(seen) == {(67, 112, 183, 228)}


def test_the_face_is_fitted_to_the_neck_inside_its_mask_if_it_may_move(family, tmp_path, monkeypatch):
    asked = []

    def fit(picture, face_mask, skeleton, limit, detectors):
        asked.append((limit, picture.size, skeleton.size))
        return ImageChops.invert(picture)

    _, _, plain = painted("face", make_job(tmp_path / "plain"))
    monkeypatch.setattr(face_colours, "fit_to_neck", fit)
    canvas, _, fitted = painted("face", make_job(tmp_path / "fitted"))
    still = dataclasses.replace(profiles.MINIATURE, face_colour_limit=0)
    monkeypatch.setitem(profiles.PROFILES, "miniature", still)
    _, _, left = painted("face", make_job(tmp_path / "left"))
    assert asked == [(8.0, canvas.background.size, canvas.background.size)]
    inside = np.asarray(canvas.face_mask) > 0
    assert (fitted == plain)[~inside].all() and not (fitted == plain)[inside].all()
    assert (left == plain).all()


def test_same_seed_same_picture_and_another_seed_another(family, tmp_path):
    job = make_job(tmp_path)
    first, again, other = (painted("pose", job, seed=seed)[2] for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_skeleton_guides_the_pose(family, tmp_path):
    job = make_job(tmp_path)
    _, _, with_skeleton = painted("pose", job)
    Image.new("RGB", (256, 256)).save(job / "skeleton.png")
    _, _, without = painted("pose", job)
    assert (with_skeleton != without).any()


def test_loading_does_not_change_the_files_of_a_model(family, tmp_path):
    before = {path: path.read_bytes() for path in sorted(family.rglob("*")) if path.is_file()}
    painted("face", make_job(tmp_path, lora=family / "lora.safetensors"))
    assert before == {path: path.read_bytes() for path in sorted(family.rglob("*")) if path.is_file()}


def test_a_missing_model_folder_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("INPAINT_MODEL", str(tmp_path / "nowhere"))
    with pytest.raises(pipelines.ModelMissing, match="nowhere"):
        pipelines.PipelineCache().pipeline("face", get_profile())


def test_pickled_weights_are_not_loaded(family, tmp_path, monkeypatch):
    import shutil

    shutil.copytree(family / "inpaint", tmp_path / "inpaint")
    unet = tmp_path / "inpaint" / "unet"
    (unet / "diffusion_pytorch_model.safetensors").unlink()
    torch.save({}, unet / "diffusion_pytorch_model.bin")
    monkeypatch.setenv("INPAINT_MODEL", str(tmp_path / "inpaint"))
    with pytest.raises(pipelines.ModelMissing):
        pipelines.PipelineCache().pipeline("face", get_profile())


def test_an_unknown_profile_is_refused_with_the_known_ones(monkeypatch):
    monkeypatch.setenv("MODEL_PROFILE", "sdxl")
    with pytest.raises(ValueError, match="miniature, sd15"):
        get_profile()


def test_a_mask_that_is_no_picture_is_refused_by_name(tmp_path):
    job = make_job(tmp_path)
    (job / "face-mask.png").write_bytes(os.urandom(100))
    with pytest.raises(InvalidRequest, match="face_mask"):
        read_inputs(job)


def test_masks_follow_the_frame_into_a_wide_background(tmp_path):
    inputs = read_inputs(make_job(tmp_path, size=(1024, 256)))
    width, height = inputs.canvas.size
    assert inputs.canvas.skeleton.size == inputs.canvas.subject_mask.size == (width, height)
    left, _, right, bottom = inputs.canvas.subject_mask.getbbox()
    assert (left + right) / 2 == pytest.approx(width / 2, rel=0.2) and bottom > 0.9 * height
    assert (width, height) == canvas_size(1024, 256, inputs.profile.pixel_budget)
