"""The back of a postcard: message and QR code on one half, stamp and address on the other."""

from __future__ import annotations

from dataclasses import dataclass

import segno
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from diffuser_api.postcards import text
from diffuser_api.postcards.card import ADDRESS_LINES, Box, Card
from diffuser_api.postcards.front import INK, write

RULE = "#8a8f94"
MESSAGE_SIZES, ADDRESS_SIZES, NOTE_SIZES = (7.5, 13.0), (6.5, 12.0), (4.5, 6.5)
QR_SIDE, QUIET = 22.0, 4  # millimetres; white modules around it
MARGIN, NOTE_HEIGHT = 7.0, 8.0


@dataclass(frozen=True)
class Halves:
    """Where each part is. ``rule``: from x, y to x, y. Of ``address``, each line has an equal share."""

    left: Box
    rule: tuple[float, float, float, float]
    stamp: Box
    address: Box


LANDSCAPE = Halves(Box(7, 7, 66, 86), (78, 7, 78, 93), Box(122, 67, 21, 26), Box(84, 10, 59, 50))
PORTRAIT = Halves(Box(7, 77, 86, 66), (7, 72, 93, 72), Box(72, 41, 21, 26), Box(22, 7, 71, 32))


def draw(pdf: Canvas, card: Card) -> None:
    halves = PORTRAIT if card.portrait else LANDSCAPE
    pdf.setStrokeColor(RULE)
    pdf.setLineWidth(0.5)
    pdf.line(*(place * mm for place in halves.rule))
    if card.stamp:
        pdf.setDash(2, 2)
        pdf.rect(
            *(side * mm for side in (halves.stamp.x, halves.stamp.y, halves.stamp.width, halves.stamp.height))
        )
        pdf.setDash()
    pdf.setFillColor(INK)
    _address(pdf, card, halves.address)
    _left(pdf, card, halves.left)


def _address(pdf: Canvas, card: Card, box: Box) -> None:
    height = box.height / ADDRESS_LINES
    for number in range(ADDRESS_LINES):
        line = Box(box.x, box.top - (number + 1) * height, box.width, height)
        pdf.line(line.x * mm, line.y * mm, line.right * mm, line.y * mm)
        if number < len(card.address) and card.address[number]:
            fitted = text.fit("address", card.address[number], card.fonts.text, line, ADDRESS_SIZES)
            write(pdf, fitted, Box(line.x, line.y, line.width, fitted.height))


def _left(pdf: Canvas, card: Card, box: Box) -> None:
    foot = QR_SIDE if card.link else NOTE_HEIGHT
    message = Box(box.x, box.y + foot + 3, box.width, box.height - foot - 3)
    if card.message:
        write(pdf, text.fit("message", card.message, card.fonts.text, message, MESSAGE_SIZES), message)
    note_x = box.x
    if card.link:
        _qr(pdf, card.link, Box(box.x, box.y, QR_SIDE, QR_SIDE))
        note_x += QR_SIDE + 3
    if card.note:
        note = Box(note_x, box.y, box.right - note_x, foot)
        fitted = text.fit("note", card.note, card.fonts.text, note, NOTE_SIZES)
        write(pdf, fitted, Box(note.x, note.y, note.width, fitted.height))


def _qr(pdf: Canvas, link: str, box: Box) -> None:
    """In vectors: sharp at any size. Its quiet zone lies within the box."""
    rows = list(segno.make(link, error="m", micro=False).matrix_iter(border=QUIET))
    module = box.width / len(rows)
    path = pdf.beginPath()
    for row, modules in enumerate(rows):
        for column, is_dark in enumerate(modules):
            if is_dark:
                x, y = box.x + column * module, box.top - (row + 1) * module
                path.rect(x * mm, y * mm, module * mm, module * mm)
    pdf.setFillColor("black")
    pdf.drawPath(path, stroke=0, fill=1)
    pdf.setFillColor(INK)
