"""The front of a postcard: the picture in a frame with the greeting beside it, or over the whole card."""

from __future__ import annotations

import io

from PIL import Image, ImageChops, ImageDraw
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from diffuser_api.postcards import text
from diffuser_api.postcards.card import BLEED, DPI, MM_OF_INCH, Box, Card
from generation.marking import label

INK, PAPER = "#22303c", "#ffffff"
FRAME = 6.0  # of paper around the picture
BELOW, BESIDE = 17.0, 44.0  # room for the greeting, below the picture or beside it
LOGO_WIDTH, LOGO_HEIGHT = 28.0, 13.0
GREETING_SIZES, PLACE_SIZES = (8.0, 30.0), (7.0, 11.0)
LARGE_PLACE_SIZES = (7.0, 22.0)  # without a greeting
PLACE_HEIGHT = 5.5
SHADE = 0.72  # how dark the lower edge of a picture gets beneath white letters


def draw(pdf: Canvas, card: Card) -> None:
    area = card.bleed if card.full_bleed else _picture_and_panel(card)[0]
    shown = _shown(card, area)
    if card.full_bleed and (card.greeting or card.place):
        shown = _shaded(shown)
    if card.full_bleed and card.label_look:
        shown = _labelled(shown, card)
    content = io.BytesIO()
    shown.save(content, "JPEG", quality=93, subsampling=0)
    pdf.drawImage(ImageReader(content), *_points(area))
    if card.full_bleed:
        box = card.trim.shrunk(FRAME + 1)
        _words(pdf, card, Box(box.x, box.y, box.width, 24), PAPER)
    else:
        _words(pdf, card, _picture_and_panel(card)[1], INK)
    _logo(pdf, card)


def resolution(card: Card) -> int:
    """How many of the picture's own pixels are printed on an inch."""
    area = card.bleed if card.full_bleed else _picture_and_panel(card)[0]
    left, _, right, _ = _cut(card, area)
    return int((right - left) / (area.width / MM_OF_INCH))


def _picture_and_panel(card: Card) -> tuple[Box, Box]:
    """Where a framed picture is, whole, and where the words are: below or beside it, as leaves it larger."""
    inner = card.trim.shrunk(FRAME)
    shape = card.picture.width / card.picture.height
    if not (card.greeting or card.place or card.logo):
        picture = _contained(inner, shape)
        return picture, Box(inner.x, inner.y, inner.width, 0)
    below = Box(inner.x, inner.y + BELOW, inner.width, inner.height - BELOW)
    beside = Box(inner.x, inner.y, inner.width - BESIDE, inner.height)
    if _contained(below, shape).width >= _contained(beside, shape).width:
        picture = _contained(below, shape)
        picture = Box(picture.x, inner.top - picture.height, picture.width, picture.height)
        return picture, Box(inner.x, inner.y, inner.width, picture.y - inner.y - 3)
    picture = _contained(beside, shape)
    picture = Box(inner.x, picture.y, picture.width, picture.height)
    return picture, Box(picture.right + 5, picture.y, inner.right - picture.right - 5, picture.height)


def _contained(box: Box, shape: float) -> Box:
    width, height = min(box.width, box.height * shape), min(box.height, box.width / shape)
    return Box(box.x + (box.width - width) / 2, box.y + (box.height - height) / 2, width, height)


def _cut(card: Card, area: Box) -> tuple[float, float, float, float]:
    """The largest part of the picture that has the area's shape, with the head near its middle."""
    shape = area.width / area.height
    width = min(card.picture.width, card.picture.height * shape)
    height = min(card.picture.height, card.picture.width / shape)
    left = _around(card.head[0] * card.picture.width, width, card.picture.width, 0.5)
    top = _around(card.head[1] * card.picture.height, height, card.picture.height, 0.4)
    return (left, top, left + width, top + height)


def _around(point: float, length: float, whole: float, share: float) -> float:
    return min(max(0.0, point - share * length), whole - length)


def _shown(card: Card, area: Box) -> Image.Image:
    """At the printer's resolution, so that every viewer shows small pictures as smoothly."""
    size = tuple(round(side / MM_OF_INCH * DPI) for side in (area.width, area.height))
    return card.picture.convert("RGB").resize(size, Image.Resampling.LANCZOS, box=_cut(card, area))


def _shaded(picture: Image.Image) -> Image.Image:
    """Darker towards the lower edge."""
    ramp = Image.linear_gradient("L").point(lambda v: round(255 * (1 - SHADE * max(0, (v - 128) / 127))))
    ramp = ramp.resize(picture.size)
    return ImageChops.multiply(picture, Image.merge("RGB", (ramp,) * 3))


def _labelled(picture: Image.Image, card: Card) -> Image.Image:
    """With the visible label anew: the picture's own is in one of its corners, which may be cut off here."""
    edge = round(BLEED / MM_OF_INCH * DPI)
    inner = picture.crop((edge, edge, picture.width - edge, picture.height - edge))
    left, top, right, bottom = _cut(card, card.bleed)
    width, height = card.picture.size
    x = (card.head[0] * width - left) / (right - left) * picture.width - edge
    y = (card.head[1] * height - top) / (bottom - top) * picture.height - edge
    face, radius = Image.new("L", inner.size), 0.12 * min(inner.size)
    ImageDraw.Draw(face).ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    corner = "top-right" if card.logo_corner == "top-left" else "top-left"  # the words are at the bottom
    picture.paste(label.put(inner, face, corner, card.label_look), (edge, edge))
    return picture


def _words(pdf: Canvas, card: Card, box: Box, colour: str) -> None:
    """The greeting with the place's name beneath it, at the bottom of the box and clear of the logo. A name
    that stands alone is as large as a title."""
    box = _beside_logo(card, box)
    pdf.setFillColor(colour)
    y = box.y
    if card.place and not card.greeting:
        fitted = text.fit("place", card.place, card.fonts.greeting, box, LARGE_PLACE_SIZES)
        write(pdf, fitted, Box(box.x, y, box.width, fitted.height))
    elif card.place:
        place = Box(box.x, box.y, box.width, PLACE_HEIGHT)
        fitted = text.fit("place", card.place, card.fonts.text, place, PLACE_SIZES)
        write(pdf, fitted, place)
        y += fitted.height
    if card.greeting:
        room = Box(box.x, y, box.width, box.top - y)
        fitted = text.fit("greeting", card.greeting, card.fonts.greeting, room, GREETING_SIZES)
        write(pdf, fitted, Box(room.x, y, room.width, fitted.height))


def write(pdf: Canvas, fitted: text.Fitted, box: Box) -> None:
    """From the box's upper edge down."""
    pdf.setFont(fitted.font, fitted.size)
    y = box.top * mm - fitted.size
    for line in fitted.lines:
        pdf.drawString(box.x * mm, y, line)
        y -= fitted.size * text.LEADING


def _logo_box(card: Card) -> Box | None:
    if card.logo is None:
        return None
    inner = card.trim.shrunk(FRAME)
    room = _contained(Box(0, 0, LOGO_WIDTH, LOGO_HEIGHT), card.logo.width / card.logo.height)
    is_left, is_top = card.logo_corner.endswith("left"), card.logo_corner.startswith("top")
    x = inner.x if is_left else inner.right - room.width
    return Box(x, inner.top - room.height if is_top else inner.y, room.width, room.height)


def _beside_logo(card: Card, box: Box) -> Box:
    """What is left of the box for words."""
    logo = _logo_box(card)
    if logo is None or logo.right <= box.x or logo.x >= box.right or logo.y >= box.top:
        return box
    if box.width < 2 * LOGO_WIDTH:  # a narrow panel: the words go above it
        if logo.y > box.y:
            return Box(box.x, box.y, box.width, logo.y - 3 - box.y)
        return Box(box.x, logo.top + 3, box.width, box.top - logo.top - 3)
    if logo.x > box.x:
        return Box(box.x, box.y, logo.x - 4 - box.x, box.height)
    return Box(logo.right + 4, box.y, box.right - logo.right - 4, box.height)


def _logo(pdf: Canvas, card: Card) -> None:
    if box := _logo_box(card):
        pdf.drawImage(ImageReader(card.logo), *_points(box), mask="auto")


def _points(box: Box) -> tuple[float, float, float, float]:
    return (box.x * mm, box.y * mm, box.width * mm, box.height * mm)
