"""Fits the colour of the painted face's skin to the painted neck.

The body is painted from words alone, the face with the visitor's LoRA. So the skin of the face and of the
neck can have two colours. EasyPhoto moves all colours of a face to those of its template (as Reinhard et al.
2001 do). Here, only the skin's colour moves, and only up to a limit, so that it stays the visitor's.
"""

from __future__ import annotations

import math
from types import ModuleType

import cv2
import numpy as np
from PIL import Image

from generation.poses import openpose
from generation.vision import likeness, skin

# A pixel's weight as skin falls with its distance from the cheeks' colour. These are the standard deviations
# in L*, a* and b*. L* has the largest, because light and shadow change it most.
SKIN = np.float32([25.0, 10.0, 10.0])
SOFT = 2.0  # pixels over which the weights are blurred, so that no grain shows


def fit_to_neck(
    painted: Image.Image, face_mask: Image.Image, skeleton: Image.Image, limit: float, detectors: ModuleType
) -> Image.Image:
    """``painted`` with its skin moved towards the neck's colour, by at most ``limit`` (CIE L*a*b* units).

    All pictures have one size; the mask is L. ``painted`` comes back unchanged if no face is found in the
    mask, if no neck is found below it, or if the colours fit already. Skin outside the face changes too: the
    caller uses the result inside the mask only.
    """
    cheeks, lacks = measure(painted, face_mask, skeleton, detectors)
    length = math.hypot(*lacks)
    if not length:
        return painted
    lab = cv2.cvtColor(np.asarray(painted.convert("RGB"), np.float32) / 255, cv2.COLOR_RGB2LAB)
    is_skin = np.exp(-(((lab - np.float32(cheeks)) / SKIN) ** 2).sum(axis=2) / 2)
    is_skin = cv2.GaussianBlur(is_skin, (0, 0), SOFT)[..., None]
    lab += is_skin * np.float32(lacks) * min(1.0, limit / length)
    pixels = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)
    return Image.fromarray((pixels * 255).round().astype(np.uint8))


def measure(
    painted: Image.Image, face_mask: Image.Image, skeleton: Image.Image, detectors: ModuleType
) -> tuple[skin.Lab, skin.Lab]:
    """The cheeks' colour, and its difference to a colour that fits the neck (``skin.to_neck``).

    Both are zeros if no face or no neck is found.
    """
    nothing = (0.0, 0.0, 0.0)
    seen, joints = likeness.look_closely(painted, face_mask, detectors), openpose.read(skeleton)
    joint = joints[openpose.NECK] if joints else None
    if seen is None or seen.face is None or joint is None:
        return nothing, nothing
    cheeks = skin.measure(seen.picture, seen.face)
    under_mask = seen.at(face_mask.getbbox()[2:])[1]
    neck = skin.measure_neck(seen.picture, seen.face, seen.at(joint), under_mask)
    return cheeks, skin.to_neck(cheeks, neck) if neck else nothing
