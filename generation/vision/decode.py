"""Pictures from strangers and editors: decoded fully, made plain with no metadata, or refused with a code.

Runs in the process of ``gate_process`` alone: what a hostile file does to a decoder ends there.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
from PIL import Image

from generation.vision.opening import as_mask, as_rgb, load_upright
from generation.vision.png_chunks import lean

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
EDITORS_FORMATS = (*FORMATS, "GIF", "BMP", "TIFF")
MAY_MOVE = ("PNG", "WEBP", "GIF", "TIFF")
# What the catalogue stores of each kind of picture: the first is what another format is turned into. A
# drawing is a picture that shows a skeleton: its transparent parts are black. A logo keeps its own.
STORED = {
    "picture": ("JPEG", "PNG"),
    "drawing": ("PNG", "JPEG"),
    "skeleton": ("PNG",),
    "mask": ("PNG",),
    "logo": ("PNG",),
}
JPEG_QUALITY = {"quality": 95, "subsampling": 0}
PNG_END, JPEG_END = b"IEND\xaeB`\x82", b"\xff\xd9"
MIN_SIDE = 256  # pixels
MOST_PIXELS_OF_WEBP = 20_000_000  # that can surely be decoded
KEPT_SIDE = 2048  # pixels: a training looks at no more than that
MOST_TIMES = KEPT_SIDE // MIN_SIDE  # a picture that is longer, in widths, would be too small once it is kept
Image.MAX_IMAGE_PIXELS = None  # the caller's own limit is checked before anything is decoded


@dataclass(frozen=True)
class Finding:
    """``code`` says what is wrong; ``values`` go into the sentence that a person reads."""

    code: str
    values: dict[str, int]


class PhotoRefused(Exception):
    def __init__(self, code: str, **values: int):
        super().__init__(code)
        self.finding = Finding(code, values)


def clean_photo(path: Path, most_megapixels: int) -> Image.Image:
    """RGB in sRGB, upright, at most KEPT_SIDE pixels on the long side. Raises PhotoRefused."""
    with _open(path.read_bytes(), most_megapixels, FORMATS) as picture:
        _check_size(picture)
        return _cleaned(_decode(picture), "picture")


def clean_editors_picture(path: Path, most_megapixels: int, kind: str) -> bytes:
    """The file in the form that the catalogue stores: see STORED. Raises PhotoRefused.

    A file that has this form already stays as it is, so that a catalogue that is exported and imported is the
    same, and no JPEG is made of a JPEG again and again.
    """
    content = path.read_bytes()
    with _open(content, most_megapixels, EDITORS_FORMATS) as opened:
        if kind in ("picture", "drawing"):  # a mask and a skeleton must have their picture's size
            _check_size(opened)
        format, size = opened.format, opened.size
        picture = _decode(opened)
        cleaned = _cleaned(picture, kind)
        is_stored_form = format in STORED[kind] and _is_plain(opened, content, kind)
        if is_stored_form and cleaned.size == size and cleaned.tobytes() == picture.tobytes():
            return content
    written = io.BytesIO()
    cleaned.save(written, STORED[kind][0], **(JPEG_QUALITY if STORED[kind][0] == "JPEG" else {}))
    return written.getvalue()


def _open(content: bytes, most_megapixels: int, formats: tuple[str, ...]) -> Image.Image:
    """The picture with its header read and judged, nothing decoded yet."""
    try:
        with warnings.catch_warnings(action="ignore"):
            picture = Image.open(io.BytesIO(lean(content)), formats=formats)
            is_animated = picture.format in MAY_MOVE and getattr(picture, "is_animated", False)
    except MemoryError:
        raise
    except Exception as error:  # decoders of hostile files raise whatever they like
        raise PhotoRefused("too_heavy" if _is_heavy_webp(content) else "not_a_picture") from error
    if picture.width * picture.height > most_megapixels * 1_000_000:
        raise PhotoRefused("too_many_pixels", limit=most_megapixels)
    if is_animated:
        raise PhotoRefused("animated")
    return picture


def _is_heavy_webp(content: bytes) -> bool:
    """WebP's decoder holds several copies of the pixels. Without room for them, it fails as if the file were
    damaged, before it says how large the picture is: so the size is read here."""
    kind, numbers = content[12:16], int.from_bytes(content[20:30], "little")
    if content[8:12] != b"WEBP":
        return False
    if kind == b"VP8L":  # a byte, then each side less one, in 14 bits
        width, height = (numbers >> 8) % 2**14 + 1, (numbers >> 22) % 2**14 + 1
    elif kind == b"VP8X":  # four bytes, then each side less one, in 24 bits
        width, height = (numbers >> 32) % 2**24 + 1, (numbers >> 56) % 2**24 + 1
    else:  # six bytes, then each side in 14 bits of 16
        width, height = (numbers >> 48) % 2**14, (numbers >> 64) % 2**14
    return width * height > MOST_PIXELS_OF_WEBP


def _check_size(picture: Image.Image) -> None:
    long, short = max(picture.size), min(picture.size)
    if short < MIN_SIDE:
        raise PhotoRefused("too_small", width=picture.width, height=picture.height, limit=MIN_SIDE)
    if short * KEPT_SIDE < MIN_SIDE * long:
        raise PhotoRefused("too_narrow", width=picture.width, height=picture.height, limit=MOST_TIMES)


def _decode(picture: Image.Image) -> Image.Image:
    """Decoded, upright, and no larger than it is kept, so that nothing after this costs much memory."""
    try:
        with warnings.catch_warnings(action="ignore"):
            if picture.format == "JPEG":
                picture.draft(None, (KEPT_SIDE, KEPT_SIDE))  # half or a quarter of the pixels, for nothing
            load_upright(picture)
            times = max(picture.size) // KEPT_SIDE
            if times < 2 or picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
                return picture
            smaller = picture.reduce(times)
            smaller.info = picture.info
            return smaller
    except MemoryError:
        raise
    except Exception as error:
        raise PhotoRefused("broken") from error


def _cleaned(picture: Image.Image, kind: str) -> Image.Image:
    """Nothing of the file but its pixels."""
    try:
        if kind == "mask":
            shown = as_mask(picture, KEPT_SIDE)
        elif kind == "logo":
            shown = picture.convert("RGBA")
            shown.thumbnail((KEPT_SIDE, KEPT_SIDE))
        else:
            shown = as_rgb(picture, "white" if kind == "picture" else "black", KEPT_SIDE)
    except MemoryError:
        raise
    except Exception as error:  # colours of a kind that nobody can convert
        raise PhotoRefused("not_a_picture") from error
    return Image.frombytes(shown.mode, shown.size, shown.tobytes())


def _is_plain(picture: Image.Image, content: bytes, kind: str) -> bool:
    """Whether the file, which was decoded, holds its pixels and nothing else."""
    if picture.mode != {"mask": "L", "logo": "RGBA"}.get(kind, "RGB"):
        return False
    if picture.format == "PNG":
        return not (picture.info or picture.private_chunks) and content.endswith(PNG_END)
    return all(name == "APP0" for name, _ in picture.applist) and content.endswith(JPEG_END)


def fingerprint(picture: Image.Image) -> int:
    """64 bits that copies of a picture share but for a few: signs of its lowest frequencies (pHash)."""
    grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float32)
    low = cv2.dct(grey)[:8, :8]
    return int("".join("1" if bit else "0" for bit in (low > np.median(low)).ravel()), 2)
