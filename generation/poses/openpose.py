"""OpenPose's body of 18 joints, and its drawing, as ControlNet was trained with it.

Order, colours, limbs and line width are those of OpenPose's own drawing code
(https://github.com/CMU-Perceptual-Computing-Lab/openpose), as ControlNet's annotator draws it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from generation.vision.types import Joint, Point

CONFIDENT = 0.3  # joints with a higher confidence (0..1) are drawn
# How ``read`` tells an OpenPose drawing from another picture: lines of pure colours on black.
DARK = 60  # of 255: a pixel is drawn on if its brightest channel is above this
BRIGHT = 200  # of 255: the brightest channel of a joint's disc; limbs have 60 % of their colour
MOST_DRAWN = 0.3  # share of the pixels that a drawing has drawn on, at most
FEWEST_JOINTS = 4  # that must be found

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


def read(picture: Image.Image) -> list[Point | None] | None:
    """The joints (pixels) of a picture that is such a drawing; None when it is none.

    Joints are discs at full brightness whose hues are 20 degrees apart, limbs are darker. A disc that lies
    partly under others is taken whole again: by the smallest circle around what is seen of it.
    """
    import cv2

    pixels = np.asarray(picture.convert("RGB"))
    brightest = pixels.max(2)
    if (brightest > DARK).mean() > MOST_DRAWN:
        return None
    hues = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    colourful = (hues[..., 1] > 180) & (brightest > DARK)
    if colourful.sum() < 0.8 * (brightest > DARK).sum():
        return None  # edges and JPEG grey some pixels, but most are of a pure colour
    discs = (brightest > BRIGHT) & colourful
    which = np.round(hues[..., 0] / 10).astype(int) % len(COLOURS)  # OpenCV's hue is half of the degrees
    circles = []
    for joint in range(len(COLOURS)):
        blobs = discs & (which == joint)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(blobs.astype(np.uint8), connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        if not areas.size:
            circles.append(((0.0, 0.0), 0.0))
            continue
        # The largest: where two discs' colours run into each other, thin strips have a third one's hue.
        rows, columns = np.nonzero(labels == 1 + areas.argmax())
        circles.append(cv2.minEnclosingCircle(np.column_stack([columns, rows]).astype(np.float32)))
    usual = float(np.median([radius for _, radius in circles if radius > 0] or [0.0]))
    seen = [tuple(map(float, middle)) if radius > 0.5 * usual else None for middle, radius in circles]
    return seen if sum(joint is not None for joint in seen) >= FEWEST_JOINTS else None
