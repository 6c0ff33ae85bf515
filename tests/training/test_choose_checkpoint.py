"""choose-checkpoint.py: of a training's checkpoints, the one whose pictures are nearest to the photos."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.harness import ROOT
from generation.miniature import demo_content
from generation.miniature.world import people

SCRIPT = ROOT / "training-app" / "choose-checkpoint.py"
CODE = "12345678"


@pytest.fixture(scope="module")
def faces():
    """Five drawn photos of each of two people: the visitor, and somebody else."""
    seeds = (1_000_900, 1_000_901)
    return [demo_content.photos_of(people.random_person(seed), seed) for seed in seeds]


@pytest.fixture
def output(tmp_path, faces):
    """Checkpoints of steps 40 and 80, and a finished LoRA of step 120, which was painted as somebody else."""
    (tmp_path / "output" / "sample").mkdir(parents=True)
    (tmp_path / "photos" / "30_sks person").mkdir(parents=True)
    for number, photo in enumerate(faces[0][:3]):
        photo.save(tmp_path / "photos" / "30_sks person" / f"{number}.png")
    for step, picture in ((40, faces[1][3]), (80, faces[0][3]), (120, faces[1][4])):
        name = f"{CODE}.safetensors" if step == 120 else f"{CODE}-step{step:08d}.safetensors"
        (tmp_path / "output" / name).write_text(f"of step {step}")
        for index in range(2):
            picture.save(tmp_path / "output" / "sample" / f"{CODE}_{step:06d}_{index:02d}.png")
    return tmp_path / "output"


def choose(output: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, SCRIPT, output, CODE, output.parent / "photos"],
        env=os.environ | {"MODEL_PROFILE": "miniature"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def chosen(output: Path) -> str:
    return (output / f"{CODE}.safetensors").read_text()


def test_the_checkpoint_whose_pictures_are_nearest_becomes_the_lora(output):
    done = choose(output)
    assert done.returncode == 0, done.stderr
    assert chosen(output) == "of step 80"
    told = json.loads((output / "likeness.json").read_text())
    assert told["step"] == 80 and set(told["distances"]) == {"40", "80", "120"}
    assert told["distances"]["80"] < min(told["distances"]["40"], told["distances"]["120"])


def test_a_picture_without_a_face_is_farther_than_a_stranger(output):
    for path in output.glob(f"sample/{CODE}_000080_*.png"):
        Image.new("RGB", (256, 256), "green").save(path)
    assert choose(output).returncode == 0
    told = json.loads((output / "likeness.json").read_text())
    assert told["distances"]["80"] == 1.5 and chosen(output) != "of step 80"


@pytest.mark.parametrize("lacking", ["photos", "sample"])
def test_with_nothing_to_compare_the_last_checkpoint_is_kept(lacking, output):
    folder = output.parent / "photos" if lacking == "photos" else output / "sample"
    for path in folder.rglob("*.png"):
        path.unlink()
    assert choose(output).returncode == 0
    assert chosen(output) == "of step 120" and not (output / "likeness.json").exists()


def test_a_checkpoint_that_is_gone_is_not_chosen(output):
    (output / f"{CODE}-step00000080.safetensors").unlink()
    assert choose(output).returncode == 0
    assert chosen(output) != "of step 80"
