"""Whether a mask is large enough on its canvas to paint something in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

LEAST_SUBJECT = 16  # pixels: two of the models' latents, which stand for 8 x 8 pixels each
MASKS = ("subject_mask", "face_mask")


class TooSmall(NamedTuple):
    """Of a mask's thickest part: its side, and the least that can be painted, in pixels."""

    side: int
    least: int


def problem(field: str, mask: Image.Image, feather: int) -> str | None:
    """A sentence if the mask is too small, otherwise None."""
    if not (found := too_small(field, mask, feather)):
        return None
    name, size = field.replace("_", " "), f"{mask.width} x {mask.height}"
    return (
        f"The {name} is too small: in a picture painted at {size} pixels its thickest part is {found.side} "
        f"wide; {found.least} are needed."
    )


def too_small(field: str, mask: Image.Image, feather: int) -> TooSmall | None:
    """``mask`` has the canvas's size. ``feather`` pixels of its edge fade into the picture."""
    least = 2 * feather + 2  # the fading edges on both sides, and two pixels between them
    if field == "subject_mask":
        least = max(least, LEAST_SUBJECT)
    side = thickness(mask)
    return None if side >= least else TooSmall(side, least)


def thickness(mask: Image.Image) -> int:
    """The side, in pixels, of the largest square that lies wholly in the mask's white."""
    white = np.asarray(mask) > 127
    counts = np.pad(white, ((1, 0), (1, 0))).cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    fits, larger = 0, min(white.shape) + 1
    while larger - fits > 1:
        side = (fits + larger) // 2
        inside = counts[side:, side:] - counts[:-side, side:] - counts[side:, :-side] + counts[:-side, :-side]
        fits, larger = (side, larger) if (inside == side * side).any() else (fits, side)
    return fits
