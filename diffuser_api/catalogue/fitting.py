"""Checks, before a job is made, that an action's masks are large enough to paint in a certain place."""

from __future__ import annotations

from django.utils.translation import gettext
from PIL import Image

from diffuser_api.catalogue.mask_rules import too_small
from diffuser_api.models import ActionImage, PoiImage
from diffuser_api.photos.pictures import open_stored
from generation.models.profiles import get_profile
from generation.picture import paintable
from generation.picture.canvas import canvas_size, fit_mask

MOST_TIMES = 10  # a side may be so many times the other; the admin refuses more than 8 today


class TooSmall(Exception):
    """The action can't be painted in this place; the text says which mask is too small."""


def check(place: PoiImage, shot: ActionImage, with_face: bool) -> None:
    """Raises TooSmall. The face mask is checked only if a face is painted."""
    profile = get_profile()
    try:
        with place.image.open("rb") as file, Image.open(file) as picture:
            size = canvas_size(*picture.size, profile.pixel_budget)
            if min(size) * MOST_TIMES < max(size):
                text = gettext(
                    "The place's picture is {size} pixels, too narrow to paint in. Choose another place."
                )
                raise TooSmall(text.format(size=f"{picture.width} x {picture.height}"))
        masks = {
            field: open_stored(getattr(shot, field), "mask") for field in paintable.MASKS[: 1 + with_face]
        }
    except (OSError, ValueError, SyntaxError):
        return  # a file is missing or damaged: the job will fail at once, and its error names the file
    for field, mask in masks.items():
        if problem := too_small(field, fit_mask(mask, size), profile.feather):
            raise TooSmall(f"{problem} {gettext('Choose another shot type, or another place.')}")
