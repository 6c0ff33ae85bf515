"""Pictures between the storage and an answer: opened whole or not at all, written as PNG or JPEG."""

from __future__ import annotations

import io

from PIL import Image

from generation.vision.opening import as_mask, as_rgb, load_upright

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


def as_png(picture: Image.Image) -> bytes:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return content.getvalue()


def as_jpeg(picture: Image.Image, xmp: str = "") -> bytes:
    content = io.BytesIO()
    picture.convert("RGB").save(content, "JPEG", quality=88, **({"xmp": xmp.encode()} if xmp else {}))
    return content.getvalue()
