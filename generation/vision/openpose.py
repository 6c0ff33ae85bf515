"""OpenPose's body of 18 joints, and its drawing, as ControlNet was trained with it.

Order, colours, limbs and line width are those of OpenPose's own drawing code
(https://github.com/CMU-Perceptual-Computing-Lab/openpose), as ControlNet's annotator draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from generation.vision.seen import Joint, Point

CONFIDENT = 0.3  # joints that are surer than that are drawn

(NOSE, NECK, R_SHOULDER, R_ELBOW, R_WRIST, L_SHOULDER, L_ELBOW, L_WRIST, R_HIP, R_KNEE, R_ANKLE) = range(11)
(L_HIP, L_KNEE, L_ANKLE, R_EYE, L_EYE, R_EAR, L_EAR) = range(11, 18)
NAMES = (
    "nose", "neck", "right shoulder", "right elbow", "right wrist", "left shoulder", "left elbow",
    "left wrist", "right hip", "right knee", "right ankle", "left hip", "left knee", "left ankle",
    "right eye", "left eye", "right ear", "left ear",
)  # fmt: skip
LIMBS = (
    (NECK, R_SHOULDER), (NECK, L_SHOULDER), (R_SHOULDER, R_ELBOW), (R_ELBOW, R_WRIST), (L_SHOULDER, L_ELBOW),
    (L_ELBOW, L_WRIST), (NECK, R_HIP), (R_HIP, R_KNEE), (R_KNEE, R_ANKLE), (NECK, L_HIP), (L_HIP, L_KNEE),
    (L_KNEE, L_ANKLE), (NECK, NOSE), (NOSE, R_EYE), (R_EYE, R_EAR), (NOSE, L_EYE), (L_EYE, L_EAR),
)  # fmt: skip
COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0),
    (0, 255, 85), (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255),
    (170, 0, 255), (255, 0, 255), (255, 0, 170), (255, 0, 85),
)  # fmt: skip


def draw(joints: Sequence[Point | None], size: tuple[int, int], stick: int = 4) -> Image.Image:
    """The OpenPose picture of ``joints`` (pixels, None: not seen) on black, as ControlNet knows it.

    Limbs are ellipses of half-width ``stick`` pixels at 60 % of their colour, joints full discs over them.
    """
    import cv2

    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    for (a, b), colour in zip(LIMBS, COLOURS, strict=False):
        if joints[a] is None or joints[b] is None:
            continue
        (xa, ya), (xb, yb) = joints[a], joints[b]
        centre = (int((xa + xb) / 2), int((ya + yb) / 2))
        axes = (int(math.hypot(xa - xb, ya - yb) / 2), stick)
        degrees = math.degrees(math.atan2(ya - yb, xa - xb))
        outline = cv2.ellipse2Poly(centre, axes, int(degrees), 0, 360, 1)
        cv2.fillConvexPoly(canvas, outline, [int(c * 0.6) for c in colour])
    for joint, colour in zip(joints, COLOURS, strict=True):
        if joint is not None:
            cv2.circle(canvas, (int(joint[0]), int(joint[1])), stick, colour, thickness=-1)
    return Image.fromarray(canvas)


def picture_of(pose: Sequence[Joint | None], size: tuple[int, int], side: int = 512) -> Image.Image:
    """The skeleton of ``pose``, of the picture's ``size``.

    It is drawn at ``side`` pixels on the short side, where lines are as wide as ControlNet was trained with.
    """
    scale = side / min(size)
    joints = [(j.x * scale, j.y * scale) if j and j.confidence > CONFIDENT else None for j in pose]
    drawn = draw(joints, (round(size[0] * scale), round(size[1] * scale)))
    return drawn.resize(size, Image.Resampling.BILINEAR)
