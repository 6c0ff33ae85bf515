"""Pose detection as the server runs it: a process of its own that says in one line what is wrong."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from generation.miniature.world import scenes
from generation.miniature.world.pen import View
from generation.poses.skeleton import SkeletonError, find_weights, read_picture

pytestmark = pytest.mark.slow  # a process for each picture


def run_skeleton(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "generation.poses.skeleton", *map(str, arguments)],
        env={**os.environ, "POSE_DETECTOR": "openpose", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def picture(tmp_path):
    path = tmp_path / "mannequin.png"
    Image.new("RGB", (180, 300), (200, 180, 160)).save(path)
    return path


@pytest.fixture(scope="session")
def weights_that_see_nothing(tmp_path_factory):
    """Weights of the detector's own shape, all zero: real code, real file, nobody found."""
    folder = tmp_path_factory.mktemp("pose-detector")
    code = (
        "import sys, torch; from controlnet_aux.open_pose.model import bodypose_model; "
        "zeros = {name.split('.', 1)[1]: value.half().zero_() "
        "for name, value in bodypose_model().state_dict().items()}; torch.save(zeros, sys.argv[1])"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, folder / "body_pose_model.pth"], check=True)
    return folder


def test_without_weights_it_says_what_to_do(picture, tmp_path):
    result = run_skeleton(picture, tmp_path / "out.png", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "POSE_DETECTOR_MODEL" in result.stderr
    assert not (tmp_path / "out.png").exists()


def test_unreachable_hub_is_given_up_and_named(picture, tmp_path):
    result = run_skeleton(
        picture,
        tmp_path / "out.png",
        HF_HUB_OFFLINE="0",
        HF_HOME=str(tmp_path),
        HF_ENDPOINT="http://127.0.0.1:9",
    )
    assert result.returncode == 1
    assert "can't be reached" in result.stderr.splitlines()[-1]


def test_by_default_the_embedded_detectors_find_the_pose(tmp_path):
    figure = scenes.random_scene(scenes.HELD_OUT + 3, shot="MES")
    scenes.draw_scene(figure, View(pixels=512)).save(tmp_path / "drawn.png")
    result = run_skeleton(tmp_path / "drawn.png", tmp_path / "out.png", POSE_DETECTOR="")
    assert result.returncode == 0, result.stderr
    drawn = np.asarray(Image.open(tmp_path / "out.png").resize((256, 256)).convert("L")) > 20
    known = np.asarray(scenes.skeleton(figure).convert("L")) > 20
    assert (drawn & known).sum() > 0.4 * (drawn | known).sum()


def test_by_default_a_place_without_a_person_is_refused(picture, tmp_path):
    result = run_skeleton(picture, tmp_path / "out.png", POSE_DETECTOR="")
    assert (result.returncode, len(result.stderr.splitlines())) == (1, 1)
    assert "no person" in result.stderr


def test_another_detector_is_refused(picture, tmp_path):
    result = run_skeleton(picture, tmp_path / "out.png", POSE_DETECTOR="crystal ball")
    assert result.returncode == 1 and "POSE_DETECTOR" in result.stderr


def test_a_folder_without_weights_is_refused_with_the_missing_file(tmp_path):
    with pytest.raises(SkeletonError, match="body_pose_model.pth"):
        find_weights(str(tmp_path))


def test_a_picture_without_a_person_is_refused(picture, tmp_path, weights_that_see_nothing):
    result = run_skeleton(picture, tmp_path / "out.png", POSE_DETECTOR_MODEL=str(weights_that_see_nothing))
    assert result.returncode == 1
    assert "no person" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out.png").exists()


def test_a_broken_picture_is_refused_by_name(tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    result = run_skeleton(broken, tmp_path / "out.png", HF_HUB_OFFLINE="1")
    assert result.returncode == 1
    assert result.stderr.startswith("broken.png can't be read")


def test_transparency_becomes_white_and_orientation_is_applied(tmp_path):
    cut_out = Image.new("RGBA", (30, 50), (0, 0, 0, 0))
    cut_out.putpixel((0, 0), (255, 0, 0, 255))
    exif = cut_out.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    cut_out.save(tmp_path / "turned.png", exif=exif)
    picture = read_picture(tmp_path / "turned.png")
    assert (picture.mode, picture.size) == ("RGB", (50, 30))
    assert picture.getpixel((49, 0)) == (255, 0, 0)
    assert picture.getpixel((10, 10)) == (255, 255, 255)


def test_a_missing_argument_prints_the_usage():
    result = run_skeleton("only-one.png")
    assert result.returncode == 2
    assert "usage" in result.stderr
