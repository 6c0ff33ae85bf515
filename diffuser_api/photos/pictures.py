"""Pictures between the storage and an answer: opened whole or not at all, written as PNG or JPEG."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

from django.db.models.fields.files import FieldFile
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffuser_api.marking import signing
from generation.marking.source_type import PNG_KEYWORD, XMP
from generation.vision.opening import as_mask, as_rgb, load_upright

QUALITY = 88  # of a JPEG file
GROUNDS = {"picture": "white", "skeleton": "black"}


def open_stored(field_file, kind: str = "picture") -> Image.Image:
    """A row's picture, as a job sees it: mode L for the kind "mask", else RGB.

    Raises OSError when the file is gone or broken.
    """
    try:
        with field_file.open("rb") as file, Image.open(file) as picture:
            load_upright(picture)
            return as_mask(picture) if kind == "mask" else as_rgb(picture, GROUNDS[kind])
    except (ValueError, SyntaxError) as error:  # a row without a file; some broken files
        raise OSError(str(error)) from error


def size_of(field_file) -> tuple[int, int]:
    """Of a stored picture, from its header alone. Raises OSError when the file is gone or no picture."""
    try:
        with field_file.open("rb") as file, Image.open(file) as picture:
            return picture.size
    except (ValueError, SyntaxError) as error:
        raise OSError(str(error)) from error


def as_png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def as_jpeg(picture: Image.Image) -> bytes:
    """Of the catalogue. For a file that is made of a visitor's picture, see ``derived``."""
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def small_for_staff(picture: Image.Image, side: int) -> bytes:
    """A finished picture as a list at the desk shows it. It says that a machine made it, but isn't signed, as
    pictures for visitors are: a list has a hundred, and a signature takes most of the time."""
    picture.thumbnail((side, side))
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=QUALITY, xmp=XMP.encode())
    return content.getvalue()


def derived(
    picture: Image.Image,
    parent: FieldFile,
    actions: Sequence[str],
    kind: str = "jpeg",
    quality: int = QUALITY,
    **options,
) -> bytes:
    """A file that is made of a finished picture. It says that a machine made it, and is signed with the
    picture as its parent.

    ``parent``: the finished picture. ``actions``: see ``signing.sign_derived``.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, original = Path(folder) / f"derived.{kind}", Path(folder) / "picture.png"
        marks = PngInfo()
        marks.add_itxt(PNG_KEYWORD, XMP)
        said = {"quality": quality, "xmp": XMP.encode()} if kind == "jpeg" else {"pnginfo": marks}
        picture.convert("RGB").save(path, kind.upper(), **said, **options)
        with parent.open("rb") as file:
            original.write_bytes(file.read())
        signing.sign_derived(path, original, actions)
        return path.read_bytes()
