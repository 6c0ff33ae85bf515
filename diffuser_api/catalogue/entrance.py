"""The one entrance for the catalogue's pictures, from the admin's forms and from an imported zip file.

The photo gate's process opens each file. It returns the picture as the catalogue stores it, or a sentence
that says why it is refused. The masks and the skeleton of a shot are scaled to the size of the shot's
picture. Later, when the row is validated, ``mask_rules`` checks whether they fit together.
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
STORED_MB = 16  # no stored picture is larger, so every export can be imported, whatever MAX_UPLOAD_MB is
Size = tuple[int, int]


def kind_of(field: str, is_skeleton: bool = False) -> str:
    """The kind of a field's picture, one of ``decode.STORED``. ``is_skeleton``: the action's image is a drawn
    skeleton, which needs a black background."""
    if field in MASKS:
        return "mask"
    return "skeleton" if field == "skeleton" else "drawing" if is_skeleton else "picture"


def taken(wanted: Sequence[tuple[str, File]], most_mb: int | None = None) -> list[bytes | PictureRefused]:
    """For each (kind, file): the bytes that are stored, or the reason why the file is refused."""
    return gate.clean_pictures(wanted, most_mb or settings.MAX_UPLOAD_MB)


def picture(file: File) -> bytes:
    """The bytes that are stored of a photograph. Raises PictureRefused."""
    [content] = taken([("picture", file)])
    if isinstance(content, PictureRefused):
        raise content
    return content


def size_of(content: bytes) -> Size:
    with Image.open(io.BytesIO(content)) as opened:
        return opened.size


def fitted(content: bytes, size: Size) -> bytes:
    """A mask or skeleton, scaled to the size of its picture. An editor may have drawn it on a large photo,
    which is stored smaller. A mask of another aspect ratio, or less than half as wide as the picture, is not
    scaled: then ``mask_rules`` refuses it because of its size."""
    with Image.open(io.BytesIO(content)) as drawn:
        if drawn.size == size or 2 * drawn.width < size[0] or not _same_shape(drawn.size, size):
            return content
        return as_png(drawn.resize(size, Image.Resampling.LANCZOS))


def _same_shape(one: Size, other: Size) -> bool:
    """Whether two sizes have the same aspect ratio, up to rounding to whole pixels."""
    return abs(one[0] * other[1] - one[1] * other[0]) <= max(*one, *other)


def as_file(content: bytes, name: str) -> ContentFile:
    """A file with the name that it was uploaded with, and the ending of its stored format."""
    ending = "png" if content.startswith(b"\x89PNG") else "jpg"
    return ContentFile(content, name=f"{Path(name).stem}.{ending}")
