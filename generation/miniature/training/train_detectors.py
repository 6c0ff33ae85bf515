"""Trains what sees drawn faces: ``python -m generation.miniature.training.train_detectors``.

Writes the files of detector_models/.

Three small models, all from scenes whose seeds are never used for measuring: a detector (gradients in a
window, dlib), five points in a box (regression trees, dlib), and the identity of a face (linear discriminants
of a small grey picture, numpy). Minutes on one core, no torch.
"""

from __future__ import annotations

import io
import random
import sys
import time

import dlib
import numpy as np
from PIL import Image, ImageEnhance, ImageFilter

from generation.miniature import detectors
from generation.miniature.world import people, scenes
from generation.miniature.world.pen import SCENE, Frame, Pen, View
from generation.miniature.world.people import Person
from generation.miniature.world.scenes import Scene

DETECTOR_SCENES, POINT_SCENES = 220, 900
PEOPLE, PICTURES_EACH = 1500, 8  # of the identities
SIDE = 320  # pixels of a training picture
IN_FIRST = 50_000  # seeds of these scenes begin here


def seen(rng: random.Random, picture: Image.Image) -> Image.Image:
    """As a camera, a small screen or a painter would leave it: other light, less sharp, compressed."""
    picture = ImageEnhance.Brightness(picture).enhance(rng.uniform(0.55, 1.25))
    picture = ImageEnhance.Color(picture).enhance(rng.choice((0.0, 0.7, 1.0, 1.0)))
    if rng.random() < 0.4:
        small = rng.uniform(0.35, 0.9)
        size = [max(8, round(side * small)) for side in picture.size]
        picture = picture.resize(size, Image.Resampling.BILINEAR).resize(picture.size)
    if rng.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5)))
    if rng.random() < 0.4:
        picture = compressed(picture, rng.randint(30, 90))
    return picture


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    """As it comes back from a JPEG file."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=quality)
    return Image.open(content).convert("RGB")


def framed(rng: random.Random, scene: Scene, faces: tuple[float, float] = (0.11, 0.42)) -> View:
    """A square of the scene around its head, which is ``faces`` of the square's side high, half of it."""
    half = scene.pose.head_half
    side = min(SCENE, half / rng.uniform(*faces))
    x, y = scene.pose.head
    left = x - side / 2 + rng.uniform(-0.5, 0.5) * max(0.0, side - 3.2 * half)
    top = y - side / 2 + rng.uniform(-0.5, 0.5) * max(0.0, side - 3.2 * half)
    return View(left, top, side, SIDE)


def face_truth(scene: Scene, view: View) -> tuple[dlib.rectangle, list[tuple[float, float]]]:
    """The face's box and five points in the view's pixels, from the drawing itself."""
    half, person = scene.pose.head_half, scene.person
    frame = Frame(Pen(View(pixels=8)), scene.pose.head, half, scene.pose.tilt)

    def pixel(x: float, y: float) -> tuple[float, float]:
        x, y = frame.to_scene(x, y)
        return ((x - view.left) * view.scale, (y - view.top) * view.scale)

    eye = 0.28 + 0.12 * person.eye_spacing
    corner = 1.25 * (0.11 + 0.06 * person.eye_size + (0.03 if person.age == "young" else 0.0))
    nose = 0.2 + 0.14 * person.nose_length
    points = [
        pixel(x, y)
        for x, y in ((eye + corner, -0.05), (eye - corner, -0.05), (-eye - corner, -0.05))
        + ((-eye + corner, -0.05), (0.0, nose))
    ]
    (x, y), reach = pixel(0, 0.02), detectors.BOX * half * view.scale
    return dlib.rectangle(*(round(v) for v in (x - reach, y - reach, x + reach, y + reach))), points


def train_detector(rng: random.Random) -> None:
    pictures, boxes = [], []
    for seed in range(IN_FIRST, IN_FIRST + DETECTOR_SCENES):
        scene = scenes.random_scene(seed)
        view = framed(rng, scene)
        box, _ = face_truth(scene, view)
        pictures.append(np.asarray(seen(rng, scenes.draw_scene(scene, view)).convert("L")))
        boxes.append([box])
    options = dlib.simple_object_detector_training_options()
    options.add_left_right_image_flips = True
    options.C = 5
    options.num_threads = 1
    options.detection_window_size = 64 * 64
    detector = dlib.train_simple_object_detector(pictures, boxes, options)
    detector.save(str(detectors.DETECTOR))
    print(dlib.test_simple_object_detector(pictures, boxes, detector))


def train_points(rng: random.Random) -> None:
    pictures, found = [], []
    for seed in range(IN_FIRST + 10_000, IN_FIRST + 10_000 + POINT_SCENES):
        scene = scenes.random_scene(seed)
        view = framed(rng, scene, (0.2, 0.4))
        box, points = face_truth(scene, view)
        picture = np.asarray(seen(rng, scenes.draw_scene(scene, view)).convert("L"))
        reach, moved = box.width() / 2, []
        for _ in range(3):
            x, y = (box.center().x + rng.gauss(0, 0.08) * reach, box.center().y + rng.gauss(0, 0.08) * reach)
            r = reach * rng.uniform(0.85, 1.18)
            moved.append(dlib.rectangle(*(round(v) for v in (x - r, y - r, x + r, y + r))))
        marks = [dlib.point(round(x), round(y)) for x, y in points]
        pictures.append(picture)
        found.append([dlib.full_object_detection(one, marks) for one in moved])
    options = dlib.shape_predictor_training_options()
    options.oversampling_amount, options.nu, options.tree_depth = 4, 0.1, 3
    options.cascade_depth, options.num_trees_per_cascade_level = 10, 200
    options.feature_pool_size, options.num_threads = 300, 1
    predictor = dlib.train_shape_predictor(pictures, found, options)
    predictor.save(str(detectors.POINTS))
    print("points off by", dlib.test_shape_predictor(pictures, found, predictor), "pixels")


def chips_of(person: Person, rng: random.Random, seed: int, count: int) -> list[np.ndarray]:
    """The person's face, cut out by its points as they would be found: a little off."""
    chips = []
    for k in range(count):
        scene = scenes.random_scene(seed * 100 + k, person, "CLS")
        view = framed(rng, scene, (0.1, 0.4))
        _, points = face_truth(scene, view)
        apart = abs(points[0][0] - points[2][0])
        off = [(x + rng.gauss(0, 0.025) * apart, y + rng.gauss(0, 0.025) * apart) for x, y in points]
        chips.append(detectors.chip(seen(rng, scenes.draw_scene(scene, view)), off).ravel())
    return chips


def train_identity(rng: random.Random) -> None:
    """Linear discriminants: the directions in which people differ more than pictures of one person do."""
    rows = []
    for number in range(PEOPLE):
        person = people.random_person(IN_FIRST + number)
        rows.append(chips_of(person, rng, IN_FIRST + number, PICTURES_EACH))
    chips = np.asarray(rows, np.float64)  # people, pictures, pixels
    mean = chips.mean((0, 1))
    within = (chips - chips.mean(1, keepdims=True)).reshape(-1, chips.shape[-1])
    between = chips.mean(1) - mean
    spread = within.T @ within / len(within)
    spread += np.eye(len(spread)) * np.trace(spread) / len(spread) * 0.05
    values, vectors = np.linalg.eigh(spread)
    whiten = vectors / np.sqrt(values)
    _, _, directions = np.linalg.svd(between @ whiten, full_matrices=False)
    matrix = whiten @ directions[: detectors.NUMBERS].T
    codes = detectors.unit((chips.reshape(-1, chips.shape[-1]) - mean) @ matrix)
    codes = codes.reshape(PEOPLE, PICTURES_EACH, -1)
    same = np.linalg.norm(codes[:, 0] - codes[:, 1], axis=1)
    other = np.linalg.norm(codes[:-1, 0] - codes[1:, 1], axis=1)
    # Scaled so that the limit between the same and another person is the same 0.6 as for photographs.
    cuts = np.linspace(0.1, 1.6, 301)
    wrong = [np.mean(same > cut) + np.mean(other <= cut) for cut in cuts]
    scale = 0.6 / cuts[int(np.argmin(wrong))]
    print(f"same {same.mean():.2f}, other {other.mean():.2f}, wrong {min(wrong) / 2:.1%}, scale {scale:.2f}")
    np.savez_compressed(
        detectors.IDENTITY,
        mean=mean.astype("f2"),
        matrix=(matrix * 1.0).astype("f4"),
        scale=np.float32(scale),
    )


def main(names: list[str]) -> None:
    detectors.FOLDER.mkdir(exist_ok=True)
    parts = {"detector": train_detector, "points": train_points, "identity": train_identity}
    for name in names or parts:
        began = time.monotonic()
        parts[name](random.Random(f"eyes {name}"))
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
