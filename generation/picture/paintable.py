"""Whether a mask, fitted into its canvas, still leaves enough room to paint something there."""

from __future__ import annotations

import numpy as np
from PIL import Image

LEAST_SUBJECT = 16  # pixels; the models see squares of 8
MASKS = ("subject_mask", "face_mask")


def problem(field: str, mask: Image.Image, feather: int) -> str | None:
    """None, or a sentence. ``mask`` is fitted; ``feather`` pixels of its edge fade into the picture."""
    least = 2 * feather + 2  # what fades on both sides, and something between
    if field == "subject_mask":
        least = max(least, LEAST_SUBJECT)
    side = thickness(mask)
    if side >= least:
        return None
    name, size = field.replace("_", " "), f"{mask.width} x {mask.height}"
    return (
        f"The {name} is too small: in a picture painted at {size} pixels its thickest part is {side} wide; "
        f"{least} are needed."
    )


def thickness(mask: Image.Image) -> int:
    """The side of the largest square that is white all over, in pixels."""
    white = np.asarray(mask) > 127
    counts = np.pad(white, ((1, 0), (1, 0))).cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32)
    fits, larger = 0, min(white.shape) + 1
    while larger - fits > 1:
        side = (fits + larger) // 2
        inside = counts[side:, side:] - counts[:-side, side:] - counts[side:, :-side] + counts[:-side, :-side]
        fits, larger = (side, larger) if (inside == side * side).any() else (fits, side)
    return fits
