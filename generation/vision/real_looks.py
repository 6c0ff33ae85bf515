"""Hair and beard in a photograph, by colours in places of the head; glasses aren't read.

No model among those that come with Cartolina tells hair from what is behind it. But the person's outline is
known, and the skin's colour. So what is on the skull and is no skin is hair. Where it isn't clear, nothing is
said: a word that is wrong does more harm than none.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

from generation.vision import skin
from generation.vision.looks import Looks
from generation.vision.types import Face

HALF, UP = 1.2, 0.1  # the head around a face's box, as in poses.proposal
# Places in half heads from the head's middle, y down: left, top, right, bottom.
SKULL = (-0.35, -1.25, 0.35, -1.0)
BESIDE = ((-1.0, 0.7, -0.65, 1.1), (0.65, 0.7, 1.0, 1.1))  # the jaw: long hair falls there
CHIN = (-0.2, 0.72, 0.2, 0.9)
INSIDE, OUTSIDE = 0.8, 0.2  # the share that is the person's of a place that is read; of a place without hair
SKIN_LIKE, HAIR_LIKE, BALD_LIKE = 9.0, 16.0, 6.0  # CIE L*a*b* units apart; light blond hair is 10 from skin
BEARD_DARKER = 18.0  # units of L*
HUES = (20.0, 95.0)  # degrees from a* to b*: all natural colours of hair but black and grey


def read(picture: Image.Image, face: Face, outline: Image.Image) -> Looks:
    """What is sure. ``outline``: the person's, of the picture's size."""
    places = _Places(picture, face, outline)
    cheeks, found = skin.measure(picture, face), {}
    skull = places.colour(SKULL)
    if skull is not None:
        if math.dist(skull, cheeks) < BALD_LIKE:
            found["style"] = "bald"
        elif math.dist(skull, cheeks) > SKIN_LIKE:
            found |= {"hair": name} if (name := colour_name(skull)) else {}
            found |= {"style": style} if (style := _style(places, skull)) else {}
    chin = places.colour(CHIN)
    if chin is not None and cheeks[0] - chin[0] > BEARD_DARKER:
        found["beard"] = "beard"
    elif chin is not None and math.dist(chin, cheeks) < SKIN_LIKE:
        found["beard"] = "none"
    return found


def colour_name(lab: skin.Lab) -> str | None:
    """The middle of each colour of hair; None in between, and of colours that only hats have."""
    lightness, a, b = lab
    colourful, hue = math.hypot(a, b), math.degrees(math.atan2(b, a))
    if colourful < 7:
        return "black" if lightness < 20 else "grey" if lightness > 45 else None
    if not HUES[0] < hue < HUES[1]:
        return None
    if lightness < 14:
        return "black"
    if hue < 56 and colourful > 26 and lightness > 25:
        return "red"
    if lightness > 65 and colourful > 14:
        return "blond"
    return "brown" if 18 < lightness < 42 and hue > 45 else None


def _style(places: _Places, hair: skin.Lab) -> str | None:
    shares = [places.share(place) for place in BESIDE]
    if max(shares) < OUTSIDE:
        return "short"
    colours = [places.colour(place) for place in BESIDE]
    if all(colour is not None and math.dist(colour, hair) < HAIR_LIKE for colour in colours):
        return "long"
    return None


class _Places:
    """A photograph in the head's own measure."""

    def __init__(self, picture: Image.Image, face: Face, outline: Image.Image):
        self.half = HALF * face.width / 2
        self.x, self.y = face.centre[0], face.centre[1] - UP * face.width / 2
        self.picture, self.outline = picture, outline

    def _box(self, place: tuple[float, float, float, float]) -> tuple[int, ...]:
        left, top, right, bottom = (round(self.half * v) for v in place)
        x, y = round(self.x), round(self.y)
        box = (x + left, y + top, x + right + 1, y + bottom + 1)
        return (
            max(0, box[0]),
            max(0, box[1]),
            min(self.picture.width, box[2]),
            min(self.picture.height, box[3]),
        )

    def share(self, place: tuple[float, float, float, float]) -> float:
        """How much of it is the person's; 0 of what lies outside the picture."""
        box = self._box(place)
        if box[0] >= box[2] or box[1] >= box[3]:
            return 0.0
        return float((np.asarray(self.outline.crop(box)) > 127).mean())

    def colour(self, place: tuple[float, float, float, float]) -> skin.Lab | None:
        """CIE L*a*b*, the median; None where it isn't the person's."""
        if self.share(place) < INSIDE:
            return None
        pixels = np.asarray(self.picture.crop(self._box(place)).convert("RGB"), np.float32) / 255
        lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).reshape(-1, 3)
        return tuple(float(v) for v in np.median(lab, axis=0))
