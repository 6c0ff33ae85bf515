"""Text that has to fit into a box: broken into lines, at the largest size at which all of it is there."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from django.utils.translation import gettext
from reportlab.lib.units import mm

from diffuser_api.postcards import fonts
from diffuser_api.postcards.card import Box

LEADING = 1.35  # of a line, in font sizes
_STEP = 0.5  # points between two sizes that are tried


class TextRefused(ValueError):
    """``field`` can't be printed; the text says why, in the language of the request."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


@dataclass(frozen=True)
class Fitted:
    lines: tuple[str, ...]
    font: str
    size: float  # points

    @property
    def height(self) -> float:
        """In millimetres."""
        return len(self.lines) * self.size * LEADING / mm


def plain(text: str) -> str:
    """Composed letters and plain line ends, which is how fonts know them."""
    composed = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(" ".join(line.split()) for line in composed.split("\n")).strip()


def fit(field: str, text: str, font: str, box: Box, sizes: tuple[float, float]) -> Fitted:
    """``sizes``: the smallest and the largest. A word is broken only if it is too wide at every size that
    holds the text. Raises TextRefused."""
    text = plain(text)
    if characters := fonts.lacking(text, font):
        raise TextRefused(
            field, gettext("The card's font can't print these: {characters}").format(characters=characters)
        )
    words, steps = text.split(), int((sizes[1] - sizes[0]) / _STEP)
    tried = [sizes[1] - step * _STEP for step in range(steps + 1)]
    widest = max(words, key=lambda word: fonts.width_of(word, font, sizes[1]), default="")
    whole = [size for size in tried if fonts.width_of(widest, font, size) <= box.width * mm]
    for size in [*whole, *tried]:
        fitted = Fitted(tuple(_lines(text, font, size, box.width * mm)), font, size)
        if fitted.height <= box.height:
            return fitted
    raise TextRefused(field, gettext("This is too long for the card; shorten it."))


def _lines(text: str, font: str, size: float, width: float) -> list[str]:
    found = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if fonts.width_of(longer, font, size) <= width:
                line = longer
                continue
            if line:
                found.append(line)
            *broken, line = _broken(word, font, size, width)
            found += broken
        found.append(line)
    return found


def _broken(word: str, font: str, size: float, width: float) -> list[str]:
    """A word that is wider than the box, in pieces."""
    pieces = [""]
    for letter in word:
        if pieces[-1] and fonts.width_of(pieces[-1] + letter, font, size) > width:
            pieces.append("")
        pieces[-1] += letter
    return pieces
