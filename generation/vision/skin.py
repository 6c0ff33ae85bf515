"""The tone of a face's skin: the word with which the body is painted that the face will be laid on.

A LoRA gives a picture the visitor's face; their neck and hands are painted before, by words alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from PIL import Image

from generation.vision.seen import Face

# Classes of the individual typology angle, in degrees (Chardon et al. 1991; limits by Del Bino and Bernerd
# 2013, their two middle classes taken as one): a tone from its lower limit up.
TONES = ((55.0, "pale"), (41.0, "light"), (10.0, "tan"), (-30.0, "dark"), (-90.0, "deep"))
Lab = tuple[float, float, float]


def measure(picture: Image.Image, face: Face) -> Lab:
    """CIE L*a*b* (L 0..100), the median of the cheeks: of two squares below the eyes, beside the nose."""
    import cv2
    import numpy as np

    corners = np.asarray(face.points, np.float64)
    eyes, nose = (corners[0:2].mean(0), corners[2:4].mean(0)), corners[4]
    half = 0.14 * math.dist(*eyes)
    cheeks = []
    for eye in eyes:
        x, y = eye + 0.8 * (nose - eyes[0] / 2 - eyes[1] / 2)
        box = tuple(round(v) for v in (x - half, y - half, x + half + 1, y + half + 1))
        cheeks.append(np.asarray(picture.convert("RGB").crop(box), np.float32).reshape(-1, 1, 3) / 255)
    lab = cv2.cvtColor(np.concatenate(cheeks), cv2.COLOR_RGB2LAB).reshape(-1, 3)
    lightness, a, b = (round(float(v), 1) for v in np.median(lab, axis=0))
    return lightness, a, b


def tone(skins: Sequence[Sequence[float]]) -> str:
    """One of ``TONES`` for the skins measured in a person's photos; "" without any.

    The angle is that of the medians, so that one photo in odd light doesn't decide.
    """
    if not skins:
        return ""
    lightness, _, b = (statistics.median(values) for values in zip(*skins, strict=True))
    angle = math.degrees(math.atan2(lightness - 50, max(b, 1e-6)))
    return next(name for least, name in TONES if angle >= least)
