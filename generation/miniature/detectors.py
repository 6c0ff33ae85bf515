"""The detectors for the miniature's drawn people: the same five as ``generation.vision.real_people``.

They look at pictures, never at the scene behind one. Faces are found by a detector of the drawing's own
edges and told apart by linear discriminants, both made by training.train_detectors. A drawn body has a body's
proportions, so its joints are read by MediaPipe's model, in a square that follows from the head.
"""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from generation.miniature import looks
from generation.vision import real_people
from generation.vision.looks import Looks, shrunk
from generation.vision.types import Face, Point, Pose

FOLDER = Path(__file__).parent / "detector_models"
DETECTOR, POINTS, IDENTITY = FOLDER / "faces.svm", FOLDER / "points.dat", FOLDER / "identity.npz"
BOX = 0.95  # half the box's side, in half heads
LOOKED_AT = 768  # pixels on the long side; the detector's window is 64
SURE = 0.0  # the detector's score from which a face is one
CHIP = 40  # side of the grey picture that is told apart
NUMBERS = 128
HEADS = 1 / 0.104  # a body's height in half heads, and below, from the head's middle to the hips
HIPS = 0.427 * HEADS


@functools.cache
def _detector():
    import dlib

    return dlib.fhog_object_detector(str(DETECTOR))


@functools.cache
def _points():
    import dlib

    return dlib.shape_predictor(str(POINTS))


@functools.cache
def _identity() -> tuple[np.ndarray, np.ndarray, float]:
    with np.load(IDENTITY) as kept:
        return kept["mean"].astype(np.float64), kept["matrix"].astype(np.float64), float(kept["scale"])


def find_faces(picture: Image.Image) -> list[Face]:
    """All faces, the largest first."""
    times = max(picture.size) / LOOKED_AT
    size = (max(1, round(picture.width / times)), max(1, round(picture.height / times)))
    way = Image.Resampling.BOX if times > 1 else Image.Resampling.BILINEAR
    pixels = np.ascontiguousarray(picture.convert("L").resize(size, way))
    boxes, scores, _ = _detector().run(pixels, 0, SURE)
    faces = []
    for box, score in zip(boxes, scores, strict=True):
        points = tuple((p.x * times, p.y * times) for p in _points()(pixels, box).parts())
        edges = tuple(v * times for v in (box.left(), box.top(), box.right(), box.bottom()))
        faces.append(Face(edges, points, min(1.0, 0.5 + score / 2)))
    return sorted(faces, key=lambda face: -face.width)


def embed_face(picture: Image.Image, face: Face) -> np.ndarray:
    """128 numbers; the same person's are nearer than compare.SAME_PERSON."""
    mean, matrix, scale = _identity()
    return unit((chip(picture, face.points).ravel() - mean) @ matrix) * scale


def read_looks(picture: Image.Image, face: Face) -> Looks:
    """Hair, beard and glasses of this face, as far as they are sure."""
    return looks.read(*shrunk(picture, face))


def chip(picture: Image.Image, points: tuple[Point, ...]) -> np.ndarray:
    """(CHIP, CHIP): the face in grey with its eyes at fixed places, of mean 0 and deviation 1."""
    corners = np.asarray(points, np.float64)
    left, right = corners[0:2].mean(0), corners[2:4].mean(0)
    across = left - right
    scale = 0.36 * CHIP / max(1e-6, np.hypot(*across))
    turn = np.arctan2(across[1], across[0])
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    to_chip = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    to_chip[:, 2] = np.array([0.5, 0.45]) * CHIP - to_chip[:, :2] @ ((left + right) / 2)
    grey = np.asarray(picture.convert("L"), np.float32)
    if scale < 1 / 1.5:  # several pixels become one: none may be left out
        grey = cv2.GaussianBlur(grey, (0, 0), 0.4 / scale)
    cut = cv2.warpAffine(grey, to_chip, (CHIP, CHIP), borderMode=cv2.BORDER_REPLICATE)
    return (cut - cut.mean()) / max(8.0, cut.std())


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(1e-9, np.linalg.norm(vectors, axis=-1, keepdims=True))


def _square(picture: Image.Image) -> tuple[Point, float, float] | None:
    """Where the body under the largest face should be: middle, side and turn."""
    faces = find_faces(picture)
    if not faces:
        return None
    half = faces[0].width / 2 / BOX
    x, y = faces[0].centre
    return (x, y + HIPS * half), 1.5 * HEADS * half, 0.0


def read_pose(picture: Image.Image) -> Pose | None:
    """The joints of the person with the largest face; None when there is no person."""
    return real_people.read_pose(picture, _square(picture))


def person_mask(picture: Image.Image) -> Image.Image:
    """Mode L, of the picture's size: 0..255, how sure a pixel is a person's. All black when there is none."""
    return real_people.person_mask(picture, _square(picture))
