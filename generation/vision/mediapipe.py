"""MediaPipe's small models run by LiteRT: what goes in, what comes out, and how anchors are decoded.

The numbers (anchors, strides, scales, thresholds) are those of MediaPipe's own graphs for these files:
https://github.com/google-ai-edge/mediapipe, modules/face_detection, pose_detection and pose_landmark.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from generation.vision.model_files import BODY, FACE_FAR, FACE_NEAR, JOINTS, ModelFile

OVERLAP = 0.3  # two boxes that share more than that of their union are of one thing
BODY_MARGIN = 1.25  # of the square around a body that its joints are read in
# (files, their input's side, strides with anchors of each cell, values in: -1..1)
_ANCHORS = {
    FACE_NEAR.name: (128, ((8, 2), (16, 6))),
    FACE_FAR.name: (192, ((4, 1),)),
    BODY.name: (224, ((8, 2), (16, 2), (32, 6))),
}


@dataclass(frozen=True)
class Detection:
    """Pixels of the picture. ``points`` is (n, 2): what the detector marks in and around the box."""

    box: tuple[float, float, float, float]
    points: np.ndarray
    score: float


@dataclass(frozen=True)
class Body:
    """``landmarks``: 39 rows of x, y (pixels of the picture) and visibility 0..1; ``presence`` 0..1.

    ``outline``: 256 x 256, 0..1, of the square that ``to_picture`` (2 x 3) maps back to the picture.
    """

    landmarks: np.ndarray
    presence: float
    outline: np.ndarray
    to_picture: np.ndarray


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The runtime writes a line to file descriptor 2 when it starts; nobody can act on it."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@functools.cache
def _load(file: ModelFile):
    with _quiet():
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(file.path), num_threads=1)
        interpreter.allocate_tensors()
    return interpreter


def unload() -> None:
    """The models of bodies hold 90 MB; whoever needs one again loads it in milliseconds."""
    _load.cache_clear()


def run(file: ModelFile, values: np.ndarray) -> list[np.ndarray]:
    """The outputs, in the file's order, for one picture (side, side, 3)."""
    interpreter = _load(file)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values[None].astype(np.float32))
    interpreter.invoke()
    return [interpreter.get_tensor(output["index"])[0] for output in interpreter.get_output_details()]


def sigmoid(values: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(values, -80, 80)))


@functools.cache
def _anchors(name: str) -> np.ndarray:
    """(n, 2): the cells' middles, 0..1, each as often as its layer has anchors."""
    side, layers = _ANCHORS[name]
    rows = []
    for stride, each in layers:
        cells = side // stride
        middles = (np.arange(cells) + 0.5) / cells
        x, y = np.meshgrid(middles, middles)
        rows.append(np.repeat(np.stack([x.ravel(), y.ravel()], 1), each, axis=0))
    return np.concatenate(rows)


def _letterbox(pixels: np.ndarray, side: int) -> tuple[np.ndarray, float, float, float]:
    """The whole picture in a square of ``side``, black beside it; and its scale and offsets there."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - w) // 2, (side - h) // 2
    square = np.zeros((side, side, 3), np.uint8)
    square[top : top + h, left : left + w] = cv2.resize(pixels, (w, h), interpolation=cv2.INTER_AREA)
    return square, scale, left, top


def detect(file: ModelFile, pixels: np.ndarray, least: float = 0.5) -> list[Detection]:
    """What the detector ``file`` finds in ``pixels`` (h, w, 3, uint8), best first."""
    side, _ = _ANCHORS[file.name]
    square, scale, left, top = _letterbox(pixels, side)
    outputs = run(file, square / 127.5 - 1)
    boxes, scores = sorted(outputs, key=lambda output: -output.shape[-1])
    scores = sigmoid(scores[:, 0])
    kept = scores >= least
    if not kept.any():
        return []
    places = boxes[kept].reshape(kept.sum(), -1, 2) / side
    middles = _anchors(file.name)[kept]
    size = places[:, 1].copy()
    places += middles[:, None]
    places = (places * side - (left, top)) / scale
    size = size * side / scale
    found = []
    for points, (w, h), score in zip(places, size, scores[kept], strict=True):
        x, y = points[0]
        found.append(Detection((x - w / 2, y - h / 2, x + w / 2, y + h / 2), points[2:], float(score)))
    return _merged(found)


def _merged(found: list[Detection]) -> list[Detection]:
    """Boxes of one thing become their mean, weighted by score (weighted non-maximum suppression)."""
    rest, merged = sorted(found, key=lambda one: -one.score), []
    while rest:
        best = rest[0]
        group = [one for one in rest if overlap(one.box, best.box) > OVERLAP]
        rest = [one for one in rest if overlap(one.box, best.box) <= OVERLAP]
        weights = np.array([one.score for one in group])
        weights /= weights.sum()
        box = np.einsum("i,ij->j", weights, np.array([one.box for one in group]))
        points = np.einsum("i,ijk->jk", weights, np.array([one.points for one in group]))
        merged.append(Detection(tuple(map(float, box)), points, best.score))
    return merged


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Intersection over union of two boxes."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def body_square(found: Detection) -> tuple[tuple[float, float], float, float]:
    """Middle, side and turn (radians) of the square that a body's joints are read in."""
    return square_of(found.points[:2])


def square_of(points: np.ndarray) -> tuple[tuple[float, float], float, float]:
    """``points``: the hips' middle, and the top of the circle around the body."""
    (x, y), (top_x, top_y) = points
    side = 2 * math.hypot(top_x - x, top_y - y) * BODY_MARGIN
    return (float(x), float(y)), side, math.pi / 2 - math.atan2(y - top_y, top_x - x)


def read_body(pixels: np.ndarray, middle: tuple[float, float], side: float, turn: float) -> Body:
    """Joints and outline of the person in the square of ``pixels``."""
    inner = 256
    cos, sin, scale = math.cos(turn), math.sin(turn), side / inner
    to_picture = np.array([[cos * scale, -sin * scale, 0.0], [sin * scale, cos * scale, 0.0]])
    to_picture[:, 2] = np.array(middle) - to_picture[:, :2] @ (inner / 2, inner / 2)
    square = cv2.warpAffine(pixels, to_picture, (inner, inner), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    landmarks, presence, outline, heatmap, _ = run(JOINTS, square / 255)
    rows = landmarks.reshape(39, 5)
    places = rows[:, :2] @ to_picture[:, :2].T + to_picture[:, 2]
    seen = sigmoid(rows[:, 3])
    return Body(np.column_stack([places, seen]), float(presence[0]), sigmoid(outline[..., 0]), to_picture)
