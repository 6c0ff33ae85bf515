"""A preview of an action in a place: the background on the canvas, with masks and pose laid over it."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageChops, ImageFilter

from diffuser_api.models import ActionImage, PoiImage
from diffuser_api.photos.pictures import as_png, open_stored
from generation.models.profiles import get_profile
from generation.picture import canvas

SUBJECT_TINT, FACE_TINT = (64, 160, 255), (255, 176, 32)
TINT = 0.35  # how much of the tint is in a masked pixel


GONE = {
    "place": _("The place's picture is gone or broken; upload it again."),
    "skeleton": _("The skeleton is gone or broken; upload it again."),
    "mask": _("The mask is gone or broken; upload it again."),
}


class NoPreview(Exception):
    """The text says which file is missing or broken."""


def _open(field_file, what: str, kind: str = "picture") -> Image.Image:
    try:
        return open_stored(field_file, kind)
    except OSError as error:
        raise NoPreview(str(GONE[what])) from error


def preview(place: PoiImage, shot: ActionImage) -> bytes:
    """A PNG file of the canvas's size. Raises NoPreview."""
    picture = canvas.fit_background(_open(place.image, "place"), get_profile().pixel_budget)
    skeleton = _open(shot.skeleton, "skeleton", "skeleton")
    skeleton = canvas.fit_frame(skeleton, picture.size, Image.Resampling.BILINEAR)
    for mask, tint in ((shot.subject_mask, SUBJECT_TINT), (shot.face_mask, FACE_TINT)):
        fitted = canvas.fit_mask(_open(mask, "mask", "mask"), picture.size)
        edge = ImageChops.difference(fitted, fitted.filter(ImageFilter.MinFilter(3)))
        share = ImageChops.lighter(fitted.point(lambda v: round(TINT * v)), edge)
        picture.paste(tint, (0, 0), share)
    bright = skeleton.convert("HSV").getchannel("V").point(lambda v: min(255, 2 * v))
    picture.paste(skeleton, (0, 0), bright)
    return as_png(picture)
