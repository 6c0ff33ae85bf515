"""Photos from strangers: decoded fully, made plain RGB with no metadata, or refused with a code.

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
from PIL import Image, ImageCms, ImageOps

pillow_heif.register_heif_opener()

FORMATS = ("JPEG", "PNG", "WEBP", "HEIF")
MIN_SIDE = 256  # pixels
KEPT_SIDE = 2048  # pixels: a training looks at no more than that
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
    with path.open("rb") as file:
        picture = _open(file, most_megapixels)
        picture = _decode(picture)
    return _to_srgb(picture)


def _open(file, most_megapixels: int) -> Image.Image:
    """The picture with its header read and judged, nothing decoded yet."""
    try:
        with warnings.catch_warnings(action="ignore"):
            picture = Image.open(file, formats=FORMATS)
    except Exception as error:  # decoders of hostile files raise whatever they like
        raise PhotoRefused("not_a_picture") from error
    if picture.width * picture.height > most_megapixels * 1_000_000:
        raise PhotoRefused("too_many_pixels", limit=most_megapixels)
    if min(picture.size) < MIN_SIDE:
        raise PhotoRefused("too_small", width=picture.width, height=picture.height, limit=MIN_SIDE)
    if picture.format in ("PNG", "WEBP") and getattr(picture, "is_animated", False):
        raise PhotoRefused("animated")
    return picture


def _decode(picture: Image.Image) -> Image.Image:
    """Decoded, upright, and no larger than it is kept, so that nothing after this costs much memory."""
    try:
        with warnings.catch_warnings(action="ignore"):
            if picture.format == "JPEG":
                picture.draft(None, (KEPT_SIDE, KEPT_SIDE))  # half or a quarter of the pixels, for nothing
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
            times = max(picture.size) // KEPT_SIDE
            if times < 2 or picture.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
                return picture
            smaller = picture.reduce(times)
            smaller.info = picture.info
            return smaller
    except Exception as error:
        raise PhotoRefused("broken") from error


def _to_srgb(picture: Image.Image) -> Image.Image:
    """8-bit RGB; 16-bit grey is scaled, a colour profile applied, transparency laid over white."""
    if picture.mode.startswith("I"):
        picture = picture.convert("I").point(lambda value: value / 256).convert("L")
    elif profile := picture.info.get("icc_profile"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            mode = "RGBA" if picture.mode in ("RGBA", "LA", "PA") else "RGB"
            picture = ImageCms.profileToProfile(
                picture, source, ImageCms.createProfile("sRGB"), outputMode=mode
            )
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a broken profile: the plain colours are the best guess
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    picture.thumbnail((KEPT_SIDE, KEPT_SIDE), Image.Resampling.LANCZOS)
    return Image.frombytes("RGB", picture.size, picture.tobytes())  # nothing of the file but its pixels


def fingerprint(picture: Image.Image) -> int:
    """64 bits that copies of a picture share but for a few: signs of its lowest frequencies (pHash)."""
    grey = np.asarray(picture.convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float32)
    low = cv2.dct(grey)[:8, :8]
    return int("".join("1" if bit else "0" for bit in (low > np.median(low)).ravel()), 2)
