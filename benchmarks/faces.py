"""Face detectors and face identity on real photographs. ``python -m benchmarks.faces [FOLDER]``

The public-domain photographs of harness/pictures and scikit-image are always measured. FOLDER may hold more,
which aren't ours to pass on: biden, obama2 and obama3 of the face_recognition 1.3.0 source archive
(tests/test_images) and sample1 to sample6 of the npm package @vladmandic/face-api 1.7.15 (demo), both MIT.
Where the faces are was marked by one of the detectors and checked by eye: x and y of the middle and the
width, as shares of the picture's size (the width's of its width). Results: generation/vision/MEASURED.md.
"""

from __future__ import annotations

import io
import math
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageEnhance

from generation.vision import mediapipe, real_people
from generation.vision.compare import SAME_PERSON
from generation.vision.model_files import FACE_CNN, FACE_FAR, FACE_NEAR

SKIMAGE = Path(skimage.__path__[0]) / "data"
PICTURES = Path(__file__).parent / "harness" / "pictures"
FACES = {
    "astronaut.png": [(0.440, 0.233, 0.207)],
    "hopper.jpg": [(0.520, 0.384, 0.389)],
    "obama.jpg": [(0.548, 0.241, 0.309)],
    "biden.jpg": [(0.606, 0.177, 0.335)],
    "obama2.jpg": [(0.501, 0.371, 0.553)],
    "obama3.jpg": [(0.552, 0.202, 0.212)],
    "sample1.jpg": [(0.249, 0.383, 0.106), (0.480, 0.435, 0.098), (0.809, 0.261, 0.091)],
    "sample2.jpg": [(0.797, 0.206, 0.116), (0.515, 0.255, 0.115), (0.213, 0.203, 0.094)],
    "sample3.jpg": [(0.609, 0.272, 0.128), (0.357, 0.348, 0.121), (0.834, 0.330, 0.107)],
    "sample4.jpg": [(0.545, 0.219, 0.102), (0.188, 0.231, 0.096), (0.706, 0.202, 0.093),
                    (0.386, 0.148, 0.088)],
    "sample5.jpg": [(0.244, 0.738, 0.122), (0.775, 0.388, 0.119), (0.368, 0.397, 0.104),
                    (0.452, 0.166, 0.103), (0.616, 0.241, 0.102)],
    "sample6.jpg": [(0.391, 0.322, 0.142), (0.820, 0.275, 0.128), (0.663, 0.302, 0.124),
                    (0.190, 0.414, 0.115)],
}  # fmt: skip
FACELESS = (
    "brick.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "color.png",
    "grass.png",
)
FACELESS += (
    "gravel.png",
    "horse.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "logo.png",
    "moon.png",
    "page.png",
)
FACELESS += ("motorcycle_left.png", "retina.jpg", "rocket.jpg", "text.png")
LOOKED_AT = 1024


def _encoded(picture: Image.Image) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=30)
    return Image.open(content).convert("RGB")


def _third(picture: Image.Image) -> Image.Image:
    return picture.resize((picture.width // 3, picture.height // 3), Image.Resampling.BOX)


def _turned(picture: Image.Image) -> Image.Image:
    return picture.rotate(12, Image.Resampling.BICUBIC)


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda picture: picture,
    "half as bright": lambda picture: ImageEnhance.Brightness(picture).enhance(0.5),
    "1.5 times as bright": lambda picture: ImageEnhance.Brightness(picture).enhance(1.5),
    "a third of the size": _third,
    "turned by 12 degrees": _turned,
    "JPEG quality 30": _encoded,
}


def _dlib(kind: str, upsampled: int = 0):
    import dlib

    hog = dlib.get_frontal_face_detector() if kind == "hog" else None
    cnn = dlib.cnn_face_detection_model_v1(str(FACE_CNN.path)) if kind == "cnn" else None

    def detect(pixels: np.ndarray) -> list[tuple[float, float, float, float]]:
        found = hog(pixels, upsampled) if hog else [one.rect for one in cnn(pixels, upsampled)]
        return [(one.left(), one.top(), one.right(), one.bottom()) for one in found]

    return detect


def _mediapipe(file):
    return lambda pixels: [one.box for one in mediapipe.detect(file, pixels)]


def _chosen(pixels: np.ndarray):
    return [face.box for face in real_people.find_faces(Image.fromarray(pixels))]


def read(folder: Path | None, name: str) -> Image.Image | None:
    for place in (PICTURES, SKIMAGE, folder):
        if place and (place / name).is_file():
            picture = Image.open(place / name).convert("RGB")
            picture.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX)
            return picture
    return None


def matched(boxes: list, truth: list, size: tuple[int, int]) -> int:
    """How many of the true faces have a box whose middle is in their inner half."""
    hits = 0
    for x, y, width in truth:
        near = width * size[0] / 2
        middles = [((b[0] + b[2]) / 2 - x * size[0], (b[1] + b[3]) / 2 - y * size[1]) for b in boxes]
        hits += any(math.hypot(*middle) < near for middle in middles)
    return hits


def measure_detectors(folder: Path | None) -> None:
    candidates = {
        "dlib HOG": _dlib("hog"),
        "dlib HOG, enlarged twice": _dlib("hog", 1),
        "MediaPipe short range": _mediapipe(FACE_NEAR),
        "MediaPipe full range": _mediapipe(FACE_FAR),
        "full, else short (chosen)": _chosen,
    }
    if folder:  # not in every run: seconds for each picture
        candidates["dlib CNN"] = _dlib("cnn")
    pictures = {name: picture for name in FACES if (picture := read(folder, name))}
    empty = [picture for name in FACELESS if (picture := read(folder, name))]
    faces = sum(len(FACES[name]) for name in pictures)
    print(f"{len(pictures)} photographs, {faces} faces; {len(empty)} without; {LOOKED_AT} pixels at most")
    print(f"{'detector':<27}{'found':>7}{'changed':>9}{'wrong':>7}{'median s':>10}")
    for label, detect in candidates.items():
        seconds, found, changed, of, wrong = [], 0, 0, 0, 0
        detect(np.zeros((128, 128, 3), np.uint8))  # loaded
        for name, picture in pictures.items():
            for change in CHANGES:
                if change == "turned by 12 degrees" or (change != "as it is" and label == "dlib CNN"):
                    continue  # the marks would have to turn too; and the CNN takes seconds
                pixels = np.asarray(CHANGES[change](picture))
                began = time.perf_counter()
                boxes = detect(pixels)
                hits = matched(boxes, FACES[name], (pixels.shape[1], pixels.shape[0]))
                if change == "as it is":
                    seconds.append(time.perf_counter() - began)
                    found, wrong = found + hits, wrong + max(0, len(boxes) - hits)
                else:
                    changed, of = changed + hits, of + len(FACES[name])
        wrong += sum(len(detect(np.asarray(picture))) for picture in empty)
        share = f"{changed / of:.0%}" if of else "-"
        print(f"{label:<27}{found:>4}/{faces:<2}{share:>9}{wrong:>7}{statistics.median(seconds):>10.3f}")


def _covered(picture: Image.Image, face) -> Image.Image:
    """A scarf over mouth and chin."""
    left, _, right, bottom = face.box
    middle = sum(y for _, y in face.points) / 5 + 0.12 * face.width
    covered = picture.copy()
    ImageDraw.Draw(covered).rectangle((left - 0.1 * face.width, middle, right, bottom + face.width), "#335")
    return covered


def measure_identity(folder: Path | None) -> None:
    people = {"astronaut.png": "Collins", "hopper.jpg": "Hopper", "obama.jpg": "Obama", "obama2.jpg": "Obama"}
    people |= {"obama3.jpg": "Obama", "biden.jpg": "Biden"}
    pictures = {name: picture for name in people if (picture := read(folder, name))}

    def embed(picture: Image.Image) -> np.ndarray:
        return real_people.embed_face(picture, real_people.find_faces(picture)[0])

    known = {name: embed(picture) for name, picture in pictures.items()}
    print(f"\ndistance to the same photograph, changed (the same person up to {SAME_PERSON})")
    changes = dict(list(CHANGES.items())[1:]) | {
        "mirrored": lambda p: p.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    }
    for label, change in changes.items():
        values = [math.dist(known[name], embed(change(picture))) for name, picture in pictures.items()]
        print(f"  {label:<24}mean {statistics.mean(values):.2f}, most {max(values):.2f}")
    values = []
    for name, picture in pictures.items():
        covered = _covered(picture, real_people.find_faces(picture)[0])
        if real_people.find_faces(covered):
            values.append(math.dist(known[name], embed(covered)))
    print(f"  {'mouth and chin covered':<24}mean {statistics.mean(values):.2f}, most {max(values):.2f}"
          f"  (found in {len(values)} of {len(pictures)})")  # fmt: skip
    pairs = [(a, b) for a in known for b in known if a < b]
    for label, same in (("other photographs of them", True), ("other people", False)):
        values = [math.dist(known[a], known[b]) for a, b in pairs if (people[a] == people[b]) is same]
        if values:
            print(f"  {label:<26}from {min(values):.2f} to {max(values):.2f} ({len(values)} pairs)")


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    measure_detectors(folder)
    measure_identity(folder)


if __name__ == "__main__":
    main()
