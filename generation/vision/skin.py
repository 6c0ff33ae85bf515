"""The skin of a face and of its neck: how a body's skin is painted, and how far face and neck differ.

A LoRA gives a picture the visitor's face. Their neck and hands are painted before it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from PIL import Image

from generation.vision.types import Face, Point

# Classes of the individual typology angle, in degrees (Chardon et al. 1991; limits by Del Bino and Bernerd
# 2013, their two middle classes taken as one): a tone from its lower limit up.
TONES = ((55.0, "pale"), (41.0, "light"), (10.0, "tan"), (-30.0, "dark"), (-90.0, "deep"))
NECK_HALF = 0.12  # half the width in which a neck is looked at, in widths of the face
FITS = (15.0, 6.0, 5.0)  # L*, a*, b*: so drawn people are, and photographed ones
FARTHEST = 30.0  # what is farther from the face's skin is a collar, hair or a shadow
SKIN_HUES = (40.0, 72.0)  # degrees from a* to b*: all tones of drawn and photographed skin
Lab = tuple[float, float, float]


def measure(picture: Image.Image, face: Face) -> Lab:
    """CIE L*a*b* (L 0..100), the median of the cheeks: of two squares below the eyes, beside the nose."""
    import numpy as np

    eyes, nose = np.asarray(face.eyes, np.float64), np.asarray(face.points[4], np.float64)
    half = 0.14 * math.dist(*eyes)
    cheeks = []
    for eye in eyes:
        x, y = eye + 0.8 * (nose - eyes[0] / 2 - eyes[1] / 2)
        cheeks.append((x - half, y - half, x + half + 1, y + half + 1))
    return _median(picture, cheeks)


def measure_neck(picture: Image.Image, face: Face, joint: Point, below: float = 0.0) -> Lab | None:
    """CIE L*a*b*, the median between the chin and ``joint``, OpenPose's neck; None where there is no room.

    ``below``: what is above this y isn't the neck's own. What is there may be a collar, hair or a shadow: see
    ``to_neck``.
    """
    half = NECK_HALF * face.width
    x, top, bottom = (face.centre[0] + joint[0]) / 2, max(face.box[3], below), joint[1] + half / 2
    if bottom - top < half / 2:
        return None
    return _median(picture, [(x - half, top, x + half + 1, bottom)])


def _median(picture: Image.Image, boxes: list[tuple[float, float, float, float]]) -> Lab:
    import cv2
    import numpy as np

    parts = [picture.crop(tuple(round(v) for v in box)).convert("RGB") for box in boxes]
    pixels = np.concatenate([np.asarray(part, np.float32).reshape(-1, 1, 3) for part in parts]) / 255
    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).reshape(-1, 3)
    lightness, a, b = (round(float(v), 1) for v in np.median(lab, axis=0))
    return lightness, a, b


def to_neck(face: Lab, neck: Lab) -> Lab:
    """What the face's skin lacks to fit the neck; zeros where they fit, or where that is no neck's skin.

    A neck lies in the chin's shadow and has no blush: a face may be lighter, redder and yellower by ``FITS``.
    """
    low, high = SKIN_HUES
    if math.dist(face, neck) > FARTHEST or not low <= math.degrees(math.atan2(neck[2], neck[1])) <= high:
        return 0.0, 0.0, 0.0
    more = [mine - its for mine, its in zip(face, neck, strict=True)]
    return tuple(min(0.0, most - much) + max(0.0, -much) for much, most in zip(more, FITS, strict=True))


def colour(skins: Sequence[Sequence[float]]) -> list[float]:
    """CIE L*a*b*: the medians of the skins measured in a person's photos; [] without any.

    With medians, one photo in odd light doesn't decide.
    """
    return [statistics.median(values) for values in zip(*skins, strict=True)]


def rgb(lab: Sequence[float]) -> tuple[int, int, int]:
    """The colour, 0..255 each, of a measured skin."""
    import cv2
    import numpy as np

    pixel = cv2.cvtColor(np.asarray(lab, np.float32).reshape(1, 1, 3), cv2.COLOR_LAB2RGB)
    return tuple(round(255 * float(value)) for value in pixel[0, 0].clip(0, 1))


def tone(skins: Sequence[Sequence[float]]) -> str:
    """One of ``TONES`` for the skins measured in a person's photos; "" without any."""
    if not skins:
        return ""
    lightness, _, b = colour(skins)
    angle = math.degrees(math.atan2(lightness - 50, max(b, 1e-6)))
    return next(name for least, name in TONES if angle >= least)
