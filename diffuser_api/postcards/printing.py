"""A card as a file: a PDF with both sides, or one side as a picture, which is that PDF rasterised."""

from __future__ import annotations

import io
import threading

import pypdfium2
from PIL import Image
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from diffuser_api.postcards import back, front
from diffuser_api.postcards.card import BLEED, DPI, SLUG, Card

SIDES = ("front", "back")
MARK_FROM, MARK_TO = BLEED + 1, SLUG - 1  # a crop mark's ends, in millimetres from the card's edge
_pdfium = threading.Lock()  # it isn't made for several threads


def as_pdf(card: Card, title: str, language: str) -> bytes:
    """Front and back. Raises TextRefused."""
    content = io.BytesIO()
    width, height = (side + 2 * card.margin for side in (card.trim.width, card.trim.height))
    boxes = {"trimBox": _box(card, 0), "bleedBox": _box(card, min(BLEED, card.margin))}
    pdf = Canvas(
        content,
        (width * mm, height * mm),
        invariant=True,
        initialFontName=card.fonts.text,
        lang=language,
        **boxes,
    )
    pdf.setTitle(title)
    pdf.setCreator("Cartolina")
    for side in (front, back):
        pdf.saveState()
        pdf.translate(card.margin * mm, card.margin * mm)
        _clip(pdf, card)
        side.draw(pdf, card)
        pdf.restoreState()
        if card.edges == "crop_marks":
            _marks(pdf, card)
        pdf.showPage()
    pdf.save()
    return content.getvalue()


def as_picture(pdf: bytes, side: str, dpi: int = DPI) -> Image.Image:
    with _pdfium:
        document = pypdfium2.PdfDocument(pdf)
        try:
            page = document[SIDES.index(side)]
            return page.render(scale=dpi / 72).to_pil().convert("RGB")
        finally:
            document.close()


def _box(card: Card, beyond: float) -> tuple[float, float, float, float]:
    start = card.margin - beyond
    ends = (card.margin + side + beyond for side in (card.trim.width, card.trim.height))
    return tuple(place * mm for place in (start, start, *ends))


def _clip(pdf: Canvas, card: Card) -> None:
    """Nothing is printed beyond the bleed, where the crop marks are."""
    path = pdf.beginPath()
    area = card.bleed
    path.rect(area.x * mm, area.y * mm, area.width * mm, area.height * mm)
    pdf.clipPath(path, stroke=0, fill=0)


def _marks(pdf: Canvas, card: Card) -> None:
    pdf.setStrokeColor("black")
    pdf.setLineWidth(0.25)
    width, height = (side + 2 * card.margin for side in (card.trim.width, card.trim.height))
    for x in (card.margin, width - card.margin):
        for start, end in ((card.margin - MARK_TO, card.margin - MARK_FROM),):
            pdf.line(x * mm, start * mm, x * mm, end * mm)
            pdf.line(x * mm, (height - start) * mm, x * mm, (height - end) * mm)
    for y in (card.margin, height - card.margin):
        for start, end in ((card.margin - MARK_TO, card.margin - MARK_FROM),):
            pdf.line(start * mm, y * mm, end * mm, y * mm)
            pdf.line((width - start) * mm, y * mm, (width - end) * mm, y * mm)
