"""From a finished job and a request for its postcard to the card that is printed."""

from __future__ import annotations

from collections.abc import Mapping

from django.conf import settings
from django.utils.translation import gettext
from PIL import Image

from diffuser_api.models import Job, PostcardLayout
from diffuser_api.photos.pictures import open_stored
from diffuser_api.postcards import fonts
from diffuser_api.postcards.card import Card, Fonts
from diffuser_api.postcards.text import plain
from generation.picture.canvas import fit_mask

BUILT_IN = (
    PostcardLayout(name="framed", style=PostcardLayout.Style.FRAMED),
    PostcardLayout(name="full bleed", style=PostcardLayout.Style.FULL_BLEED),
)


def layouts() -> list[PostcardLayout]:
    """Those that visitors may choose from, the first of them by default."""
    return list(PostcardLayout.objects.all()) or list(BUILT_IN)


def layout_of(name: str) -> PostcardLayout | None:
    """None if there is no such layout; the first for an empty name."""
    offered = layouts()
    return next((layout for layout in offered if layout.name == name), None if name else offered[0])


def card_of(job: Job, values: Mapping, link: str) -> Card:
    """``values``: the fields of api.postcards.PostcardSerializer. Raises OSError when the picture is gone."""
    layout, picture = values["layout"], open_stored(job.output)
    place = job.poi_image.poi.shown_name if job.poi_image else ""
    return Card(
        picture=picture,
        head=_head(job, picture.size),
        fonts=_fonts(layout),
        portrait=values["orientation"] == "portrait",
        full_bleed=layout.style == PostcardLayout.Style.FULL_BLEED,
        edges=values["edges"],
        greeting=plain(values["greeting"]),
        place=place if values["show_place"] else "",
        logo=_logo(layout) if values["show_logo"] else None,
        logo_corner=layout.logo_corner,
        message=plain(values["message"]),
        address=tuple(values["address"].split("\n")),
        stamp=values["stamp"],
        link=link if values["qr"] else "",
        label_look="" if settings.SOMEBODY_ELSE_LABELS else settings.LABEL_LOOK,
        note=". ".join(
            filter(None, [place, gettext("Painted by a machine: the people in it never stood there")])
        )
        + ".",
    )


def _head(job: Job, size: tuple[int, int]) -> tuple[float, float]:
    """The middle of the face mask, as the picture shows it."""
    try:
        mask = fit_mask(open_stored(job.action_image.face_mask, "mask"), size)
        left, top, right, bottom = mask.getbbox()
    except (OSError, AttributeError, TypeError):  # the action was deleted, or its mask is empty
        return Card.head
    return ((left + right) / 2 / size[0], (top + bottom) / 2 / size[1])


def _fonts(layout: PostcardLayout) -> Fonts:
    return fonts.of_file(layout.font) if layout.font else fonts.shipped()


def _logo(layout: PostcardLayout) -> Image.Image | None:
    """None for a layout without one; a file that is gone costs no card."""
    try:
        with layout.logo.open("rb") as file, Image.open(file) as logo:
            return logo.convert("RGBA")
    except (OSError, ValueError):
        return None
