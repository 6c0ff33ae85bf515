"""The one entrance of the catalogue's pictures, for the desk's forms and for the import of a zip.

A file is opened in the photo gate's process, and comes out as the catalogue stores it, or with a sentence
that says why not. The masks and the skeleton of a shot are fitted to its picture's size. Whether they suit
each other is judged by ``mask_rules``, when the row is validated.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings
from django.core.files.base import ContentFile, File
from PIL import Image

from diffuser_api.photos import gate
from diffuser_api.photos.gate import PictureRefused
from diffuser_api.photos.pictures import as_png

MASKS = ("subject_mask", "face_mask")
FITTED = ("skeleton", *MASKS)  # to the size of "image"
STORED_MB = 16  # no stored picture is larger, so that what is exported can be imported whatever the limit is
Size = tuple[int, int]


def kind_of(field: str, is_skeleton: bool = False) -> str:
    """Of ``decode.STORED``. ``is_skeleton``: the action's image is itself one, which needs a black ground."""
    if field in MASKS:
        return "mask"
    return "skeleton" if field == "skeleton" else "drawing" if is_skeleton else "picture"


def taken(wanted: Sequence[tuple[str, File]], most_mb: int | None = None) -> list[bytes | PictureRefused]:
    """Each file, with its kind, as it is stored, or why it is refused."""
    return gate.clean_pictures(wanted, most_mb or settings.MAX_UPLOAD_MB)


def picture(file: File) -> bytes:
    """A photograph. Raises PictureRefused."""
    [content] = taken([("picture", file)])
    if isinstance(content, PictureRefused):
        raise content
    return content


def size_of(content: bytes) -> Size:
    with Image.open(io.BytesIO(content)) as opened:
        return opened.size


def fitted(content: bytes, size: Size) -> bytes:
    """A mask or skeleton at its picture's size, if it has the same shape: an editor draws it on a large
    photo, which is stored smaller. One of another shape, or less than half as wide, stays as it is, and is
    refused by its size."""
    with Image.open(io.BytesIO(content)) as drawn:
        if drawn.size == size or 2 * drawn.width < size[0] or not _same_shape(drawn.size, size):
            return content
        return as_png(drawn.resize(size, Image.Resampling.LANCZOS))


def _same_shape(one: Size, other: Size) -> bool:
    """Whether one is the other at another scale, but for what rounding to whole pixels changes."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def as_file(content: bytes, name: str) -> ContentFile:
    """Under the name that it came with, and the ending of its own format."""
    ending = "png" if content.startswith(b"\x89PNG") else "jpg"
    return ContentFile(content, name=f"{Path(name).stem}.{ending}")
