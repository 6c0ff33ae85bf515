"""What a picture shows, in 8 bits: the same for a visitor's photo, an editor's picture and a job's files.

Orientation, bit depth, colour profile, palette and transparency get their meaning here and nowhere else. A
plain picture (8 bits, no profile, no transparency) keeps every pixel.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageChops, ImageCms, ImageOps

ONE_COLOUR = 16  # of 255: the levels of what was drawn with one brush lie within that
BLACK = 16  # of 255


def load_upright(picture: Image.Image) -> None:
    """Decodes it in place, turned as its EXIF data says. Raises what decoders raise."""
    picture.load()
    ImageOps.exif_transpose(picture, in_place=True)


def as_rgb(picture: Image.Image, beneath: str = "white", most: int | None = None) -> Image.Image:
    """Mode RGB in sRGB, ``beneath`` its transparent parts; at most ``most`` pixels on the long side."""
    if picture.mode[0] in "IF":
        picture = _grey(picture)
    elif profile := picture.info.get("icc_profile"):
        picture = _in_srgb(picture, profile)
    if picture.has_transparency_data:
        picture = _smaller(picture.convert("RGBA"), most)
        ground = Image.new("RGBA", picture.size, beneath)
        picture = Image.alpha_composite(ground, picture)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    return _smaller(picture, most)


def as_mask(picture: Image.Image, most: int | None = None) -> Image.Image:
    """Mode L: white where something may be painted.

    On transparency, whatever was drawn with one colour is white; black and several colours stay as bright as
    they are, and the transparent parts are black. Of two levels the brighter one is white.
    """
    if picture.mode[0] in "IF":
        picture = _grey(picture, two_levels=True)
    if picture.has_transparency_data:
        picture = _drawn_on_transparency(_smaller(picture.convert("RGBA"), most))
    picture = picture.convert("L")
    levels = [level for level, count in enumerate(picture.histogram()) if count]
    if len(levels) == 2 and levels != [0, 255]:
        picture = picture.point(lambda v: 255 if v == levels[1] else 0)
    return _smaller(picture, most)


def _drawn_on_transparency(picture: Image.Image) -> Image.Image:
    alpha, grey = picture.getchannel("A"), picture.convert("L")
    seen = grey.histogram(alpha.point(lambda v: 255 if v > 127 else 0))
    levels = [level for level, count in enumerate(seen) if count] or [0]
    is_one_colour = levels[-1] - levels[0] <= ONE_COLOUR and levels[0] > BLACK
    if is_one_colour and alpha.getextrema()[0] < 128:
        return alpha
    return ImageChops.multiply(grey, alpha)


def _grey(picture: Image.Image, two_levels: bool = False) -> Image.Image:
    """Mode L of grey in 16 bits, 32 bits or fractions; with ``two_levels``, of two the brighter is white."""
    values = np.nan_to_num(np.asarray(picture).astype(np.float32))
    low, high = float(values.min()), float(values.max())
    if two_levels and low < high and ((values == low) | (values == high)).all():
        return Image.fromarray(np.where(values == high, 255, 0).astype(np.uint8))
    if picture.mode == "F" and high <= 255:
        factor = 255 if high <= 1 else 1
    else:
        factor = 1 / 256 if high < 65536 else 255 / high
    return Image.fromarray(np.clip(values * factor, 0, 255).astype(np.uint8))


def _in_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        mode = "RGBA" if picture.mode in ("RGBA", "LA", "PA") else "RGB"
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return picture  # a broken profile: the plain colours are the best guess


def _smaller(picture: Image.Image, most: int | None) -> Image.Image:
    if most is None or max(picture.size) <= most:
        return picture
    smaller = picture.copy()
    smaller.thumbnail((most, most), Image.Resampling.LANCZOS)
    return smaller
