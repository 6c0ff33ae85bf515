"""The painted face in the light of the painted neck.

The body was painted by words alone, the face with the visitor's LoRA, and where the two meet, skins of two
colours meet. EasyPhoto moves a face's colours to its template's (as Reinhard et al. 2001 do); here only skin
moves, and no farther than a limit, so that it stays the visitor's.
"""

from __future__ import annotations

import math
from types import ModuleType

import cv2
import numpy as np
from PIL import Image

from generation.poses import openpose
from generation.vision import likeness, skin

# What counts as skin: one standard deviation from the cheeks in L*, a* and b*. Light varies most.
SKIN = np.float32([25.0, 10.0, 10.0])
SOFT = 2.0  # pixels over which that is evened out, so that no grain shows


def fit_to_neck(
    painted: Image.Image, face_mask: Image.Image, skeleton: Image.Image, limit: float, detectors: ModuleType
) -> Image.Image:
    """``painted`` with the skin in its face moved towards the neck's by at most ``limit`` (CIE L*a*b* units).

    Pictures of one size, the mask L. Nothing moves where no face is seen in the mask, no neck under it, or
    where the two fit. The caller lays the result over the picture inside the mask.
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
    """The cheeks' colour, and what it lacks to fit the neck's (``skin.to_neck``): zeros if one isn't seen."""
    nothing = (0.0, 0.0, 0.0)
    seen, joints = likeness.look_closely(painted, face_mask, detectors), openpose.read(skeleton)
    joint = joints[openpose.NECK] if joints else None
    if seen is None or seen.face is None or joint is None:
        return nothing, nothing
    cheeks = skin.measure(seen.picture, seen.face)
    under_mask = seen.at(face_mask.getbbox()[2:])[1]
    neck = skin.measure_neck(seen.picture, seen.face, seen.at(joint), under_mask)
    return cheeks, skin.to_neck(cheeks, neck) if neck else nothing
