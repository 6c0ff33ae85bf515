"""The face step's portrait: the visitor's head painted from noise, and its face moved to its place.

The head of the pose step is painted without the visitor's LoRA. So it has other eyes, and perhaps glasses
that the visitor doesn't wear. At a low strength the face step keeps them. At a high one it loses the head's
place. So it paints the head twice. The portrait is painted from noise alone, and its face is moved onto the
skeleton's eyes. From there the face step goes on at a low strength, which joins the face to its surroundings.
"""

from __future__ import annotations

import math

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from generation.poses import openpose
from generation.vision.likeness import Closeup

# Half axes of the ellipse that is taken from a portrait, along the eyes and down the face, and the blur of
# its edge: times the distance of the eyes.
AXES, BLUR = (1.15, 1.3), 0.08
NOSE_BELOW = 0.5  # of that distance, below the eyes, if the skeleton has no nose


def with_face_of(
    portrait: Image.Image, seen: Closeup | None, picture: Image.Image, skeleton: Image.Image
) -> Image.Image:
    """``picture`` with the portrait's face on the skeleton's eyes. It stays as it is if the skeleton shows no
    eyes, or the portrait no face.

    All pictures are RGB and of one size. ``seen``: the face that was found in the portrait.
    """
    joints = openpose.read(skeleton)
    asked = (joints[openpose.L_EYE], joints[openpose.R_EYE]) if joints else (None, None)
    if seen is None or seen.face is None or None in asked:
        return picture
    eyes = (seen.from_here(eye) for eye in seen.face.eyes)
    left, right, asked_left, asked_right = (complex(*point) for point in (*eyes, *asked))
    across = asked_left - asked_right
    if abs(across) < 1 or abs(left - right) < 1:
        return picture
    # Complex numbers: a factor turns and scales. From a place in the picture to that in the portrait:
    factor = (left - right) / across
    shift = left - factor * asked_left
    matrix = (factor.real, -factor.imag, shift.real, factor.imag, factor.real, shift.imag)

    def moved(source: Image.Image, resample: Image.Resampling) -> Image.Image:
        return source.transform(picture.size, Image.Transform.AFFINE, matrix, resample)

    nose = joints[openpose.NOSE]
    middle = (asked_left + asked_right) / 2
    nose = complex(*nose) if nose else middle + 1j * NOSE_BELOW * across
    mask = _ellipse(picture.size, (middle + nose) / 2, across)
    inside = moved(Image.new("L", portrait.size, 255), Image.Resampling.NEAREST)
    face = moved(portrait, Image.Resampling.BICUBIC)
    return Image.composite(face, picture, ImageChops.darker(mask, inside))


def _ellipse(size: tuple[int, int], centre: complex, across: complex) -> Image.Image:
    """Mode L. ``across`` leads from the subject's right eye to the left one."""
    rim = [2 * math.pi * k / 64 for k in range(64)]
    points = [centre + across * complex(AXES[0] * math.cos(a), AXES[1] * math.sin(a)) for a in rim]
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).polygon([(point.real, point.imag) for point in points], fill=255)
    return mask.filter(ImageFilter.GaussianBlur(max(0.8, BLUR * abs(across))))
