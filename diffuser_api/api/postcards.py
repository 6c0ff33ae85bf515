"""A finished picture as a postcard to print: what is asked, and the file that is answered."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from django.conf import settings
from django.core.validators import URLValidator
from django.utils.translation import get_language, gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers
from rest_framework.fields import empty

from diffuser_api.access import throttles
from diffuser_api.api.fields import FreeText, OneOf, OptionalText
from diffuser_api.models import NAME_LENGTH, Job
from diffuser_api.photos import pictures
from diffuser_api.postcards import front, printing, wish
from diffuser_api.postcards.card import (
    ADDRESS_LENGTH,
    ADDRESS_LINES,
    DPI,
    GREETING_LENGTH,
    MARGINS,
    MESSAGE_LENGTH,
)
from diffuser_api.postcards.text import TextRefused, plain
from generation.models.profiles import get_profile
from generation.picture.canvas import canvas_size

FORMATS = {"pdf": "application/pdf", "jpeg": "image/jpeg", "png": "image/png"}
ACTIONS = ("c2pa.resized", "c2pa.drawing")  # what is done with the picture, in C2PA's words
QUALITY = 92  # of a JPEG file in print
LINK_LENGTH = 200  # a phone still reads the code
_ANY_LENGTH = ADDRESS_LINES * (ADDRESS_LENGTH + 2)


class Switch(serializers.BooleanField):
    """On unless it is switched off, in a form too."""

    default_empty_html = empty

    def __init__(self, help_text: str) -> None:
        super().__init__(default=True, help_text=help_text)


class PostcardSerializer(serializers.Serializer):
    """Every field is optional."""

    format = OneOf(list(FORMATS), default="pdf", help_text="A PDF has both sides, a picture one of them.")
    side = OneOf(list(printing.SIDES), default="front", help_text="Of a JPEG or PNG.")
    orientation = OneOf(["landscape", "portrait"], default="landscape")
    layout = OptionalText(NAME_LENGTH, "The name of a layout; empty: the first.")
    edges = OneOf(
        list(MARGINS),
        default="trimmed",
        help_text="trimmed: 15 x 10 cm exactly; bleed: 3 mm more on each side; crop_marks: 10 mm more, with "
        "bleed and marks where to cut.",
    )
    greeting = FreeText(GREETING_LENGTH, "On the front.", painted=False)
    show_place = Switch("The place's name, on the front.")
    show_logo = Switch("The layout's logo, if it has one.")
    message = FreeText(MESSAGE_LENGTH, "On the back; line breaks stay.", painted=False, trim_whitespace=False)
    address = FreeText(_ANY_LENGTH, f"On the back: up to {ADDRESS_LINES} lines.", painted=False)
    stamp = Switch("A field for the stamp, on the back.")
    qr = Switch("A QR code, on the back.")
    link = OptionalText(LINK_LENGTH, "What the QR code leads to; empty: the picture.")

    def validate_layout(self, name):
        layout = wish.layout_of(name)
        if layout is None:
            names = ", ".join(layout.name for layout in wish.layouts())
            raise serializers.ValidationError(gettext("Choose one of: {names}.").format(names=names))
        return layout

    def validate_address(self, text):
        lines = plain(text).split("\n")
        if len(lines) > ADDRESS_LINES or any(len(line) > ADDRESS_LENGTH for line in lines):
            sentence = gettext("Write at most {lines} lines of {letters} letters.")
            raise serializers.ValidationError(sentence.format(lines=ADDRESS_LINES, letters=ADDRESS_LENGTH))
        return "\n".join(lines)

    def validate_link(self, link):
        if link:
            URLValidator(["http", "https"], message=_("Enter a valid URL."))(link)
        return link


def counted_work(sender: str) -> contextlib.AbstractContextManager:
    """For a block that prints a card, which takes as long as a dozen pages. Raises TooMuchWork. ``sender``:
    the visitor's IP address; empty if it isn't known."""
    if not sender:
        return contextlib.nullcontext()
    return throttles.counted_work(f"cards of {sender}", settings.PHOTO_RATE)


@dataclass(frozen=True)
class Printed:
    content: bytes
    content_type: str
    name: str
    dpi: int  # of the picture in print; DPI is sharp
    person_dpi: int


def pdf_of(job: Job, values: dict, link: str) -> tuple[bytes, int, int]:
    """With the resolution of the picture, and that of the person in it. Raises ValidationError for a text
    that can't be printed, and OSError."""
    card = wish.card_of(job, values, values["link"] or link)
    try:
        title = f"Cartolina {job.code}"
        pdf, dpi = printing.as_pdf(card, title, get_language() or "en"), front.resolution(card)
    except TextRefused as refused:
        raise serializers.ValidationError({refused.field: [str(refused)]}) from refused
    return pdf, dpi, min(dpi, round(dpi * _painted_share(card.picture.size)))


def _painted_share(size: tuple[int, int]) -> float:
    """The size at which the person was painted, as a share of the picture's: a picture of a large place is
    larger than what the models paint."""
    return canvas_size(*size, get_profile().pixel_budget)[0] / size[0]


def print_card(job: Job, values: dict, link: str) -> Printed:
    """Raises as ``pdf_of`` does."""
    content, dpi, person_dpi = pdf_of(job, values, link)
    kind, name = values["format"], f"cartolina-{job.code}"
    if kind != "pdf":
        shown = printing.as_picture(content, values["side"])
        content = pictures.derived(shown, job.output, ACTIONS, kind, QUALITY, dpi=(DPI, DPI))
        name = f"{name}-{values['side']}"
    ending = {"jpeg": "jpg"}.get(kind, kind)
    return Printed(content, FORMATS[kind], f"{name}.{ending}", dpi, person_dpi)
