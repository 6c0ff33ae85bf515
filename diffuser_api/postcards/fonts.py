"""The fonts of postcards: the shipped Noto Serif (Latin, Greek, Cyrillic), or an editor's TrueType file.

Every font is embedded in the PDF, so a text may hold only letters that the font has. Letters that run from
right to left, or that change their form beside others, would need a shaping engine; they are refused too.
"""

from __future__ import annotations

import functools
import io
import unicodedata
from pathlib import Path

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from diffuser_api.postcards.card import Fonts

_FOLDER = Path(__file__).parent / "fonts"
_RIGHT_TO_LEFT = ("R", "AL", "AN")
_SURROGATES = range(0xD800, 0xE000)  # of UTF-16, no letters
_SHAPED = ("Mc", "Cf")  # vowel signs that move, joiners


def read(content: bytes) -> None:
    """Raises anything for a file that can't be embedded: each of its letters is printed once. ``new_fonts``
    has it called in another process."""
    font = TTFont("read", io.BytesIO(content))
    pdfmetrics.registerFont(font)
    page = Canvas(io.BytesIO(), initialFontName="read")
    page.drawString(0, 0, "".join(chr(code) for code in font.face.charToGlyph if code not in _SURROGATES))
    page.save()


@functools.cache
def shipped() -> Fonts:
    for name in ("NotoSerif-Regular", "NotoSerif-SemiBoldItalic"):
        pdfmetrics.registerFont(TTFont(name, _FOLDER / f"{name}.ttf"))
    return Fonts("NotoSerif-Regular", "NotoSerif-SemiBoldItalic")


def of_file(field_file) -> Fonts:
    """A stored font. A file that is replaced gets another name."""
    name = f"layout {field_file.name}"
    if name not in pdfmetrics.getRegisteredFontNames():
        with field_file.open("rb") as file:
            pdfmetrics.registerFont(TTFont(name, io.BytesIO(file.read())))
    return Fonts(name, name)


def lacking(text: str, font: str) -> str:
    """The characters that can't be printed, each once."""
    known = pdfmetrics.getFont(font).face.charToGlyph
    return "".join(
        dict.fromkeys(
            character
            for character in text
            if character != "\n"
            and (
                ord(character) not in known
                or unicodedata.bidirectional(character) in _RIGHT_TO_LEFT
                or unicodedata.category(character) in _SHAPED
            )
        )
    )


def width_of(text: str, font: str, size: float) -> float:
    """In points."""
    return pdfmetrics.stringWidth(text, font, size)
