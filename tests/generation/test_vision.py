"""The detectors: what they find in photographs and drawings, what they are made of, that each works alone."""

import hashlib
import importlib.util
import json
import math
import os
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import ROOT
from benchmarks.harness import photographs as real
from generation.miniature.world import scenes
from generation.miniature.world.pen import View
from generation.poses import openpose
from generation.vision import compare, detectors, model_files, real_people
from generation.vision.types import Joint

WORLDS = ("photographs", "drawn")


# --- what they are made of ---------------------------------------------------------------------------------


def test_every_model_file_is_on_the_list_free_for_commercial_use_and_genuine():
    assert {file.licence for file in model_files.FILES} == {"Apache-2.0", "CC0-1.0"}
    for file in model_files.FILES:
        assert hashlib.sha256(file.path.read_bytes()).hexdigest() == file.sha256, file.name
    ours = {path.name for path in model_files.FOLDER.iterdir()} - {"NOTICE"}
    assert ours == {file.name for file in model_files.FILES if not file.packaged}
    notice = (model_files.FOLDER / "NOTICE").read_text()
    assert all(f"{file.sha256}  {file.name}" in notice for file in model_files.FILES)


def test_nothing_opens_a_file_that_is_not_on_the_list():
    listed = {file.name for file in model_files.FILES}
    for path in ROOT.glob("generation/**/*.py"):
        named = set(re.findall(r"[\w.]+\.(?:tflite|dat)\b", path.read_text()))
        assert named <= listed | {"points.dat"}, path  # points.dat: the miniature's own
    assert "shape_predictor_68_face_landmarks.dat -delete" in (ROOT / "Dockerfile").read_text()


def test_the_profile_chooses_the_detectors(monkeypatch):
    monkeypatch.setenv("MODEL_PROFILE", "sd15")
    assert detectors() is real_people
    assert detectors("miniature") is real.DETECTORS["drawn"]


# --- faces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["obama", "hopper", "astronaut"])
def test_the_face_in_a_photograph_is_found_with_the_eyes_above_the_nose(name):
    [face] = real_people.find_faces(getattr(real, name)())
    left, top, right, bottom = face.box
    assert face.confidence > 0.5 and all(left < x < right and top < y < bottom for x, y in face.points)
    assert face.points[0][0] > face.points[1][0] > face.points[3][0] > face.points[2][0]
    assert face.points[4][1] > max(y for _, y in face.points[:4])


@pytest.mark.parametrize("world", WORLDS)
def test_no_face_is_found_in_a_place(world):
    assert real.DETECTORS[world].find_faces(real.faceless(world)) == []


@pytest.mark.parametrize("world", WORLDS)
def test_two_faces_are_found_the_larger_first(world):
    both = real.beside(real.stranger(world), real.portrait(world), 0.6)
    found = real.DETECTORS[world].find_faces(both)
    assert len(found) == 2 and found[0].width > found[1].width


def embedding(picture: Image.Image, world: str) -> np.ndarray:
    return real.DETECTORS[world].embed_face(picture, real.DETECTORS[world].find_faces(picture)[0])


CHANGES = {
    "light": lambda picture: real.lit(picture, 0.5),
    "size": lambda picture: picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX),
    "turn": lambda picture: picture.rotate(8, Image.Resampling.BICUBIC),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("world", WORLDS)
def test_the_same_face_stays_near_whatever_happens_to_the_photo(world, change):
    changed = CHANGES[change](real.portrait(world))
    assert math.dist(embedding(real.portrait(world), world), embedding(changed, world)) < compare.SAME_PERSON


@pytest.mark.parametrize("world", WORLDS)
def test_another_face_is_far(world):
    mine, other = (embedding(photo, world) for photo in (real.portrait(world), real.stranger(world)))
    assert mine.shape == (128,) and math.dist(mine, other) > compare.SAME_PERSON


# --- joints and outlines -----------------------------------------------------------------------------------


def test_the_joints_of_the_astronaut_are_where_they_are():
    """Marked by hand. Her height, were she standing: about 7.5 heads of 150 pixels."""
    known = {"nose": (219, 126), "right eye": (201, 101), "left eye": (246, 104), "right ear": (177, 122)}
    known |= {"left ear": (274, 131), "right shoulder": (100, 235), "left shoulder": (322, 248)}
    pose = dict(zip(openpose.NAMES, real_people.read_pose(real.astronaut()), strict=True))
    off = [math.dist((pose[name].x, pose[name].y), place) for name, place in known.items()]
    assert sum(off) / len(off) / 1125 < 0.03 and max(off) / 1125 < 0.05
    assert pose["left ankle"] is None and pose["nose"].confidence > 0.9


@pytest.mark.slow  # twenty pictures are drawn and read
def test_the_joints_of_drawn_people_are_where_they_were_drawn():
    off = []
    for seed in range(20):
        scene = scenes.random_scene(scenes.HELD_OUT + 500 + seed)
        pose = real.DETECTORS["drawn"].read_pose(scenes.draw_scene(scene, View(pixels=512)))
        assert pose is not None, seed
        for joint, known in zip(pose, scene.pose.visible(), strict=True):
            if joint and known:
                off.append(math.dist((joint.x / 2, joint.y / 2), known) / scene.pose.height)
    assert len(off) > 200 and sum(off) / len(off) < 0.05


def test_the_outline_of_a_drawn_person_is_found():
    scene = scenes.random_scene(scenes.HELD_OUT + 503, shot="MES")
    seen = real.DETECTORS["drawn"].person_mask(scenes.draw_scene(scene, View(pixels=512)))
    seen, known = np.asarray(seen) > 127, np.asarray(scenes.silhouette(scene, View(pixels=512))) > 127
    assert (seen & known).sum() > 0.75 * (seen | known).sum()


@pytest.mark.parametrize("see", ["read_pose", "person_mask"])
@pytest.mark.parametrize("world", WORLDS)
def test_nobody_is_found_in_a_place(world, see):
    seen = getattr(real.DETECTORS[world], see)(real.faceless(world))
    assert seen is None or np.mean(np.asarray(seen) > 127) < 0.02


def test_the_skeleton_is_openpose_drawing_pixel_for_pixel(monkeypatch):
    """Against controlnet_aux's own function. Its detector, which imports torch, is left out of its module."""
    body = ModuleType("controlnet_aux.open_pose.body")
    body.Keypoint, body.BodyResult = namedtuple("Keypoint", "x y"), None
    monkeypatch.setitem(sys.modules, body.__name__, body)
    [where] = importlib.util.find_spec("controlnet_aux").submodule_search_locations
    path = Path(where, "open_pose", "util.py")
    found = importlib.util.spec_from_file_location("controlnet_aux.open_pose.util", path)
    found.loader.exec_module(util := importlib.util.module_from_spec(found))

    poses = np.random.default_rng(3).uniform(0.02, 0.98, (8, 18, 2)).tolist()
    poses += [[None if k % 3 == n else place for k, place in enumerate(poses[n])] for n in range(3)]
    for pose in poses:
        keypoints = [place and body.Keypoint(*place) for place in pose]
        theirs = util.draw_bodypose(np.zeros((384, 512, 3), np.uint8), keypoints)
        joints = [place and (place[0] * 512.0, place[1] * 384.0) for place in pose]
        assert theirs.any() and np.array_equal(np.asarray(openpose.draw(joints, (512, 384))), theirs)


def test_uncertain_joints_are_not_drawn():
    pose = [None] * 18
    pose[0], pose[1] = Joint(100, 50, 0.9), Joint(100, 150, 0.1)
    drawn = np.asarray(openpose.picture_of(pose, (512, 512)))
    assert drawn[50, 100].any() and not drawn[100:].any()


# --- alone, on a file --------------------------------------------------------------------------------------


def vision(module: str, *arguments, profile="sd15") -> subprocess.CompletedProcess:
    """With an import of torch made impossible."""
    code = (
        "import runpy, sys; sys.modules['torch'] = None; sys.argv = sys.argv[1:];"
        f"runpy.run_module('{module}', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, module, *map(str, arguments)]
    environment = {**os.environ, "MODEL_PROFILE": profile, "POSE_DETECTOR": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_each_function_works_alone_from_the_command_line_without_torch(tmp_path):
    photo, other = real.PICTURES / "obama.jpg", real.PICTURES / "hopper.jpg"
    said = {}
    for command in (["faces", photo], ["embed", photo], ["pose", photo], ["mask", photo, tmp_path / "m.png"],
                    ["skin", photo], ["likeness", photo, other]):  # fmt: skip
        done = vision("generation.vision", *command)
        assert done.returncode == 0 and not done.stderr, done.stderr
        said[command[0]] = json.loads(done.stdout)
    assert len(said["faces"]) == 1 and len(said["embed"]) == 128 and said["pose"]["nose"]["confidence"] > 0.9
    assert Image.open(tmp_path / "m.png").size == real.obama().size and 0.3 < said["mask"]["share"] < 0.8
    assert said["skin"]["tone"] in ("tan", "dark")
    assert said["likeness"]["same_person"] is False


def test_a_place_and_a_broken_file_are_refused_in_one_line(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    real.faceless("photographs").save(tmp_path / "place.png")
    for path in (tmp_path / "broken.jpg", tmp_path / "place.png"):
        done = vision("generation.vision", "embed", path)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert vision("generation.vision", "nothing").returncode == 2


@pytest.mark.parametrize("profile", ["sd15", "miniature"])
def test_a_pose_is_read_from_a_picture(tmp_path, profile):
    path = tmp_path / "someone.png"
    figure = scenes.random_scene(scenes.HELD_OUT + 503, shot="MES")
    picture = real.obama() if profile == "sd15" else scenes.draw_scene(figure, View(pixels=512))
    picture.save(path)
    done = vision("generation.poses.proposal", path, profile=profile)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["joints"]["neck"]["confidence"] > 0.5
    skeleton, subject, face = (
        np.asarray(Image.open(tmp_path / "someone" / f"{name}.png").convert("L")) > 20
        for name in ("skeleton", "subject-mask", "face-mask")
    )
    assert skeleton.shape == (picture.height, picture.width)
    assert subject[skeleton].mean() > 0.98 and subject[face].mean() > 0.9
    assert 0.005 < face.mean() < 0.3 and face.sum() < subject.sum() / 2
