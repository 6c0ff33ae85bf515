"""The visible label: in the corner that was chosen, never over the face, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from diffuser_api.marking import finish
from generation import job_folder
from generation.marking import label
from generation.request import GenerationRequest

GREY = (120, 120, 120)
SIZES = [(256, 256), (312, 208), (1024, 683), (96, 128)]


def masked(size, *boxes) -> Image.Image:
    mask = Image.new("L", size)
    for box in boxes:
        mask.paste(255, box)
    return mask


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corner", label.CORNERS)
def test_the_label_is_where_it_was_asked_for_and_nowhere_else(size, corner):
    mask = masked(size)
    left, top, right, bottom = label.place(size, mask, corner)
    assert (left > size[0] / 2) == corner.endswith("right") and (top > size[1] / 2) == corner.startswith(
        "bottom"
    )
    changed = np.asarray(label.put(Image.new("RGB", size, GREY), mask, corner, "dark")) != GREY
    inside = np.zeros(size[::-1], bool)
    inside[top:bottom, left:right] = True
    assert not changed.any(axis=2)[~inside].any() and changed.any(axis=2)[inside].mean() > 0.8


@pytest.mark.parametrize("look", label.LOOKS)
@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255), (200, 30, 40)])
def test_its_letters_stand_out_on_every_ground(look, ground):
    size = (256, 256)
    picture = label.put(Image.new("RGB", size, ground), masked(size), "bottom-left", look)
    shades = np.asarray(picture.crop(label.place(size, masked(size), "bottom-left")).convert("L")).astype(int)
    assert shades.max() - shades.min() > 150


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corner", label.CORNERS)
def test_a_label_never_covers_a_face(size, corner):
    wide, high = size
    for face in (
        (0, 0, wide * 2 // 3, high * 2 // 3),
        (wide // 3, high // 3, wide, high),
        (0, 0, wide, high // 2),
    ):
        mask = masked(size, face)
        box = label.place(size, mask, corner)
        assert not np.asarray(mask.crop(box)).any()


@pytest.fixture
def folder(tmp_path):
    """Of a job whose face is at the bottom right."""
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "background.png").write_bytes(b"the place")
    masked((256, 256), (160, 160, 256, 256)).save(folder / "face.png")
    record = {"seed": 1, "steps": []}
    job_folder.write_picture(Image.new("RGB", (256, 256), GREY), folder / "4-harmonize.png", record)
    return folder


def finished(folder) -> np.ndarray:
    words = dict.fromkeys(("action_description", "other_details", "place_description"), "")
    files = {"background": "background.png", "skeleton": "s", "subject_mask": "m", "face_mask": "face.png"}
    request = GenerationRequest("1", "miniature", 1, age="adult", gender="man", **words, **files)
    with Image.open(finish.finish(folder, folder / "4-harmonize.png", request)) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_finished_picture_is_labelled_beside_its_face(folder):
    changed = (finished(folder) != GREY).any(axis=2)
    assert changed[128:, :128].any() and not changed[160:, 160:].any()


def test_only_a_setting_that_says_so_leaves_the_label_out(folder, settings):
    settings.SOMEBODY_ELSE_LABELS = True
    assert (finished(folder) == GREY).all()


def test_the_steps_picture_stays_without_a_label(folder):
    finished(folder)
    assert (np.asarray(job_folder.read_step_picture(folder, 4)) == GREY).all()
