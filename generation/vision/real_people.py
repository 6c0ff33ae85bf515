"""The detectors for photographs: MediaPipe's small models for faces and bodies, dlib's for identity.

Which face detector and why: benchmarks/faces.py measures them all.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
from PIL import Image

from generation.poses.openpose import (
    L_ANKLE,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
    NOSE,
    R_ANKLE,
    R_EAR,
    R_ELBOW,
    R_EYE,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
)
from generation.vision import mediapipe, real_looks
from generation.vision.looks import Looks, shrunk
from generation.vision.model_files import BODY, FACE_FAR, FACE_NEAR, FIVE_POINTS, IDENTITY
from generation.vision.types import Face, Joint, Point, Pose

LOOKED_AT = 1024  # pixels on the long side: enough for the smallest face that is of use
# The lowest scores (0..1) at which a detection is taken for a face, or a body.
SURE = 0.5
SURE_NEAR = 0.7  # below it, the detector of near faces takes patches of colour and stones for faces
BODY_SURE = 0.5
Square = tuple[Point, float, float]  # middle, side, turn in radians
# MediaPipe's landmarks for OpenPose's joints; the neck is the middle of the shoulders, as in OpenPose.
_LANDMARKS = {
    NOSE: 0, L_EYE: 2, R_EYE: 5, L_EAR: 7, R_EAR: 8, L_SHOULDER: 11, R_SHOULDER: 12, L_ELBOW: 13,
    R_ELBOW: 14, L_WRIST: 15, R_WRIST: 16, L_HIP: 23, R_HIP: 24, L_KNEE: 25, R_KNEE: 26, L_ANKLE: 27,
    R_ANKLE: 28,
}  # fmt: skip


@functools.cache
def _five_points():
    import dlib

    return dlib.shape_predictor(str(FIVE_POINTS.path))


@functools.cache
def _identity():
    import dlib

    return dlib.face_recognition_model_v1(str(IDENTITY.path))


def _smaller(picture: Image.Image, side: int) -> tuple[np.ndarray, float]:
    """RGB pixels with ``side`` on the long side at most, and how many times larger the picture is."""
    times = max(1.0, max(picture.size) / side)
    if times > 1:
        size = (max(1, round(picture.width / times)), max(1, round(picture.height / times)))
        picture = picture.resize(size, Image.Resampling.BOX, reducing_gap=1.0)
    return np.ascontiguousarray(picture.convert("RGB")), times


def find_faces(picture: Image.Image) -> list[Face]:
    """All faces, the largest first."""
    pixels, times = _smaller(picture, LOOKED_AT)
    found = mediapipe.detect(FACE_FAR, pixels, SURE)
    if not found:  # perhaps so near that it fills the picture
        found = mediapipe.detect(FACE_NEAR, pixels, SURE_NEAR)
    faces = [_face(pixels, one, times) for one in found]
    return sorted(faces, key=lambda face: -face.width)


def _face(pixels: np.ndarray, found: mediapipe.Detection, times: float) -> Face:
    import dlib

    box = dlib.rectangle(*(round(v) for v in found.box))
    marks = _five_points()(pixels, box)
    points = tuple((p.x * times, p.y * times) for p in marks.parts())
    return Face(tuple(v * times for v in found.box), points, found.score)


def embed_face(picture: Image.Image, face: Face) -> np.ndarray:
    """128 numbers; the same person's are nearer than compare.SAME_PERSON."""
    import dlib

    # The chip that is embedded has 150 pixels: a face in larger pixels says no more.
    pixels, times = _smaller(picture, max(150, round(LOOKED_AT * max(1.0, 200 / max(1.0, face.width)))))
    points = dlib.points([dlib.point(round(x / times), round(y / times)) for x, y in face.points])
    box = dlib.rectangle(*(round(v / times) for v in face.box))
    chip = dlib.get_face_chip(pixels, dlib.full_object_detection(box, points), 150)
    return np.array(_identity().compute_face_descriptor(chip))


def read_looks(picture: Image.Image, face: Face) -> Looks:
    """Hair and beard of the person with this face, as far as they are sure."""
    picture, face = shrunk(picture, face)
    mediapipe.unload()  # the photo gate has no room for the models of faces and bodies at once,
    outline = person_mask(picture)
    mediapipe.unload()  # nor for a body's beside the next photo
    return real_looks.read(picture, face, outline)


def _body(picture: Image.Image, square: Square | None = None) -> tuple[mediapipe.Body, float] | None:
    """The clearest person in the picture, and how many times larger the picture is than what was read."""
    pixels, times = _smaller(picture, LOOKED_AT)
    if square is None:
        found = mediapipe.detect(BODY, pixels, BODY_SURE)
        if not found:
            return None
        middle, side, turn = mediapipe.body_square(max(found, key=lambda one: one.score * _size(one)))
    else:
        (x, y), side, turn = square
        middle, side = (x / times, y / times), side / times
    body = mediapipe.read_body(pixels, middle, side, turn)
    # Once more around the joints that were read: the first square is a guess.
    again = mediapipe.read_body(pixels, *mediapipe.square_of(body.landmarks[33:35, :2]))
    if again.presence >= body.presence:
        body = again
    return (body, times) if body.presence >= BODY_SURE else None


def _size(found: mediapipe.Detection) -> float:
    return float(np.hypot(*(found.points[1] - found.points[0])))


def read_pose(picture: Image.Image, square: Square | None = None) -> Pose | None:
    """The clearest person's joints; None when there is no person. ``square``: where it is, if known."""
    seen = _body(picture, square)
    if seen is None:
        return None
    body, times = seen
    joints: list[Joint | None] = [None] * 18
    for joint, landmark in _LANDMARKS.items():
        x, y, confidence = body.landmarks[landmark]
        x, y = x * times, y * times
        if 0 <= x < picture.width and 0 <= y < picture.height:
            joints[joint] = Joint(float(x), float(y), float(confidence))
    left, right = joints[L_SHOULDER], joints[R_SHOULDER]
    if left and right:
        middle = ((left.x + right.x) / 2, (left.y + right.y) / 2)
        joints[NECK] = Joint(*middle, min(left.confidence, right.confidence))
    return tuple(joints)


def person_mask(picture: Image.Image, square: Square | None = None) -> Image.Image:
    """Mode L, of the picture's size: 0..255, how sure a pixel is a person's. All black when there is none."""
    seen = _body(picture, square)
    if seen is None:
        return Image.new("L", picture.size)
    body, times = seen
    mask = cv2.warpAffine(body.outline, body.to_picture * times, picture.size)
    return Image.fromarray((np.clip(mask, 0, 1) * 255).astype(np.uint8))
