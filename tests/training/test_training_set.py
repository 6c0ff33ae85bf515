"""The training set that is made of a visitor's photos: sizes, repeats, captions, strangers hidden."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness import ROOT
from generation import training_set
from generation.miniature import demo_content
from generation.miniature import detectors as drawn_detectors
from generation.models.profiles import get_profile
from generation.vision import real_people

TRAINING = dataclasses.replace(get_profile("miniature").training, face_sizes=True)
SMALL_FACE = ROOT / "benchmarks/harness/pictures" / "hopper.jpg"


@pytest.fixture
def photos(tmp_path) -> list[Path]:
    paths = []
    for number, photo in enumerate(demo_content.people()[0].photos):
        paths.append(tmp_path / f"{number}.jpg")
        photo.save(paths[-1], quality=95)
    return paths


def repeats_by_photo(out: Path) -> dict[str, int]:
    sums: dict[str, int] = {}
    for picture in out.rglob("*.[pj]*g"):
        photo = picture.name.split("-")[1]
        sums[photo] = sums.get(photo, 0) + int(picture.parent.name.split("_")[0])
    return sums


def test_an_epoch_is_as_long_as_with_whole_photos(photos, tmp_path):
    counts = training_set.write(photos, tmp_path / "out", TRAINING, drawn_detectors)
    assert counts["whole"] == 5 and counts["tight"] == 5
    assert repeats_by_photo(tmp_path / "out") == {str(n): TRAINING.repeats for n in range(1, 6)}


def test_the_face_is_as_large_as_the_caption_says(photos, tmp_path):
    training_set.write(photos, tmp_path / "out", TRAINING, drawn_detectors)
    for picture in (tmp_path / "out").rglob("*-tight.png"):
        assert picture.with_suffix(".txt").read_text() == "face of sks person"
        with Image.open(picture) as opened:
            face = drawn_detectors.find_faces(opened)[0]
            assert opened.size == (TRAINING.resolution, TRAINING.resolution)
            assert face.width / opened.width == pytest.approx(0.62, abs=0.1)


def test_without_sizes_the_photos_stay_as_they_are(photos, tmp_path):
    whole = dataclasses.replace(TRAINING, face_sizes=False)
    assert training_set.write(photos, tmp_path / "out", whole, drawn_detectors) == {"whole": 5}
    kept = sorted((tmp_path / "out" / f"{TRAINING.repeats}_sks person").glob("*.jpg"))
    assert [path.read_bytes() for path in kept] == [path.read_bytes() for path in photos]


@pytest.mark.slow  # finds outlines
def test_where_the_background_counts_less_the_person_is_opaque(photos, tmp_path):
    masked = dataclasses.replace(TRAINING, mask_background=True)
    assert masked.environment()["ALPHA_MASK"] == "1" and "ALPHA_MASK" not in TRAINING.environment()
    counts = training_set.write(photos, tmp_path / "out", masked, drawn_detectors)
    assert counts["whole"] == 5
    for path in (tmp_path / "out").rglob("photo-*-whole.png"):
        with Image.open(path) as opened:
            assert opened.mode == "RGBA"
            alpha = np.asarray(opened.getchannel("A"))
            face = drawn_detectors.find_faces(opened.convert("RGB"))[0]
        x, y = map(round, face.centre)
        assert alpha[y, x] > 200 and alpha.min() == round(255 * training_set.BACKGROUND)


def between_eyes(picture: Image.Image) -> float:
    points = np.asarray(real_people.find_faces(picture)[0].points)
    return float(np.hypot(*(points[0:2].mean(0) - points[2:4].mean(0))))


def test_a_small_face_is_not_enlarged_beyond_the_limit():
    found = {name: picture for name, picture, _ in training_set.cut(SMALL_FACE, 560, real_people)}
    with Image.open(SMALL_FACE) as photo:
        enlarged = between_eyes(found["tight"]) / between_eyes(photo.convert("RGB"))
    assert enlarged == pytest.approx(training_set.ENLARGED, abs=0.1)


def test_a_strangers_face_is_cut_out(tmp_path):
    """Two drawn people side by side; the smaller face is the stranger's."""
    one, other = (person.photos[0] for person in demo_content.people())
    both = Image.new("RGB", (one.width * 2, one.height), "white")
    both.paste(one.resize((400, 400)), (0, 0))
    both.paste(other.resize((250, 250)), (600, 100))
    both.save(tmp_path / "both.png")
    assert len(drawn_detectors.find_faces(both)) == 2
    found = training_set.cut(tmp_path / "both.png", 256, drawn_detectors)
    for _, picture, _ in found:
        assert len(drawn_detectors.find_faces(picture)) == 1
    assert np.asarray(found[-1][1]).shape[2] == 3


def test_a_photo_without_a_face_stays_whole(tmp_path):
    Image.new("RGB", (300, 300), "green").save(tmp_path / "green.png")
    assert [name for name, _, _ in training_set.cut(tmp_path / "green.png", 256, drawn_detectors)] == [
        "whole"
    ]
