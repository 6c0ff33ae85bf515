"""Whether a painted face is whole: two eyes, a mouth, hair of one colour. Without a network.

Eyes and mouth have their places in the head, which the pose knows. An eye is dark and light within a few
pixels, a mouth is redder than what is around it. Hair is what was painted around the face and is neither skin
nor clothes nor place.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image
from skimage import color

from benchmarks.judge import limbs
from generation.miniature.world import joints
from generation.miniature.world.joints import Pose

PARTS = ("eyes", "mouth", "hair")
GRID = 64  # samples across the head's square, which reaches ``REACH`` half heads from its middle
REACH = 1.8
EYE_RANGE = 16.0  # CIE L*: darkest to lightest of an eye
REDDER = 5.0  # CIE a*: the mouth's redness above what is around it
HAIR_SPREAD = 15.0  # CIE 2000: hair farther from the hair's own colour is of another one
ONE_COLOUR = 0.85  # of the hair, at least, has its own colour
LITTLE = 0.02  # of the square: with less hair than that there is none to have two colours


def whole_parts(picture: Image.Image, background: Image.Image, pose: Pose) -> dict[str, bool]:
    """For each of PARTS whether it is whole; ``background`` is the empty place."""
    pixels, place = np.asarray(picture.convert("RGB"), float), np.asarray(background.convert("RGB"), float)
    head, empty = (color.rgb2lab(_square(image, pose) / 255) for image in (pixels, place))
    skins = [color.rgb2lab(skin / 255) for skin in limbs.skins(pixels, pose)]
    return {
        "eyes": all(_eye(head, side) for side in (-1, 1)),
        "mouth": _mouth(head),
        "hair": hair_share(head, empty, [*skins, *_clothes(pixels, pose)]) >= ONE_COLOUR,
    }


def _square(pixels: np.ndarray, pose: Pose) -> np.ndarray:
    """(GRID, GRID, 3): the head upright, sampled between the picture's pixels."""
    axis = np.linspace(-REACH, REACH, GRID)
    x, y = np.meshgrid(axis, axis)
    cos, sin = math.cos(math.radians(pose.tilt)), math.sin(math.radians(pose.tilt))
    across = pose.head[0] + pose.head_half * (x * cos - y * sin)
    down = pose.head[1] + pose.head_half * (x * sin + y * cos)
    places = (across.astype(np.float32), down.astype(np.float32))
    return cv2.remap(pixels.astype(np.float32), *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _box(square: np.ndarray, left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """(N, channels): the samples of a box in half heads."""
    spots = [round((v + REACH) / (2 * REACH) * (GRID - 1)) for v in (left, top, right, bottom)]
    return square[spots[1] : spots[3] + 1, spots[0] : spots[2] + 1].reshape(-1, square.shape[2])


def _eye(head: np.ndarray, side: int) -> bool:
    near, far = sorted((side * 0.24, side * 0.44))
    light = _box(head, near, -0.16, far, 0.06)[:, 0]
    low, high = np.percentile(light, (4, 96))
    return bool(high - low >= EYE_RANGE)


def _mouth(head: np.ndarray) -> bool:
    """Redder in the middle than beside it: on the cheek's lower end or in the beard."""
    lips = np.percentile(_box(head, -0.18, 0.44, 0.18, 0.66)[:, 1], 90)
    around = np.median(_box(head, -0.3, 0.72, 0.3, 0.84)[:, 1])
    return bool(lips - around >= REDDER)


def _clothes(pixels: np.ndarray, pose: Pose) -> list[np.ndarray]:
    """CIE L*a*b* of the torso below the neck, lit and in shadow."""
    shoulders = np.mean([pose.joints[k] for k in (joints.R_SHOULDER, joints.L_SHOULDER)], axis=0)
    torso = limbs.median(pixels, shoulders + (0, 0.05 * pose.height), 0.02 * pose.height)
    return [color.rgb2lab(torso * shade / 255) for shade in limbs.SHADES]


def hair_share(head: np.ndarray, empty: np.ndarray, others: list[np.ndarray]) -> float:
    """The share of the hair that has the hair's own colour, lit or in shadow. 1 where there is hardly any."""
    axis = np.linspace(-REACH, REACH, GRID)
    x, y = np.meshgrid(axis, axis)
    where = (y < -0.62) | ((np.abs(x) > 0.62 + 0.3 * (y > 0.1)) & (y < 0.9))
    painted = color.deltaE_ciede2000(head, empty) > 14
    not_hair = np.min([color.deltaE_ciede2000(head, np.broadcast_to(o, head.shape)) for o in others], axis=0)
    hair = head[where & painted & (not_hair > 14)]
    if len(hair) < LITTLE * GRID**2:
        return 1.0
    own = np.median(hair, axis=0)
    shadow = own * (0.83, 0.85, 0.85)
    lit = own / (0.83, 0.85, 0.85)
    apart = [color.deltaE_ciede2000(hair, np.broadcast_to(tone, hair.shape)) for tone in (own, shadow, lit)]
    return float((np.min(apart, axis=0) < HAIR_SPREAD).mean())
