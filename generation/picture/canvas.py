"""The picture's geometry: the canvas of a background, and the mannequin's frame fitted into it. PIL only."""

from __future__ import annotations

import math

from PIL import Image, ImageChops, ImageFilter

MULTIPLE = 8  # the VAE reduces by 8, so sides are multiples of it


def canvas_size(width: int, height: int, pixel_budget: int) -> tuple[int, int]:
    """Sides in multiples of 8, near the background's aspect ratio; at most ``pixel_budget`` pixels."""
    scale = math.sqrt(pixel_budget / (width * height))
    sides = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height)]
    while sides[0] * sides[1] > pixel_budget:
        longer = 0 if sides[0] >= sides[1] else 1
        sides[longer] -= MULTIPLE
    return sides[0], sides[1]


def _seen_box(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[float, float, float, float]:
    """What of a picture of ``size`` the canvas shows: the largest box of the canvas's shape, centred."""
    scale = max(canvas[0] / size[0], canvas[1] / size[1])
    width, height = canvas[0] / scale, canvas[1] / scale
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return (left, top, left + width, top + height)


def fit_background(picture: Image.Image, pixel_budget: int) -> Image.Image:
    """The background at canvas size, RGB: scaled to cover the canvas, cropped by less than 8 pixels."""
    picture = picture.convert("RGB")
    size = canvas_size(*picture.size, pixel_budget)
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS, box=_seen_box(picture.size, size))


def fit_frame(frame: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """The mannequin's frame in a black canvas of ``size``: as large as fits, at the bottom, in the middle."""
    scale = min(size[0] / frame.width, size[1] / frame.height)
    fitted = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    canvas = Image.new(frame.mode, size)
    canvas.paste(frame.resize(fitted, resample), ((size[0] - fitted[0]) // 2, size[1] - fitted[1]))
    return canvas


def fit_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A mask fitted like the frame it belongs to: mode L, 0 or 255."""
    fitted = fit_frame(mask.convert("L"), size, Image.Resampling.BILINEAR)
    return fitted.point(lambda value: 255 if value > 127 else 0)


def feathered(mask: Image.Image, radius: int) -> Image.Image:
    """The mask with an edge that fades over about ``radius`` pixels, all of it inside: 0 stays 0 outside."""
    if radius < 1:
        return mask
    soft = mask.filter(ImageFilter.MinFilter(2 * (radius // 2) + 1)).filter(
        ImageFilter.GaussianBlur(radius / 2)
    )
    return ImageChops.darker(soft, mask)


def lay_over(painted: Image.Image, picture: Image.Image, mask: Image.Image, feather: int) -> Image.Image:
    """``painted`` inside the mask, ``picture``'s own pixels outside it, a soft edge between."""
    return Image.composite(painted, picture, feathered(mask, feather))


def bounded(painted: Image.Image, picture: Image.Image, limit: int) -> Image.Image:
    """``painted``, but no channel of any pixel farther than ``limit`` (of 255) from ``picture``."""
    low, high = (picture.point(lambda v, s=sign: max(0, min(255, v + s * limit))) for sign in (-1, 1))
    return ImageChops.lighter(low, ImageChops.darker(high, painted))


def add_change(picture: Image.Image, before: Image.Image, after: Image.Image) -> Image.Image:
    """``picture``, changed by what is between ``before`` and ``after``, each channel of each pixel."""
    more, less = ImageChops.subtract(after, before), ImageChops.subtract(before, after)
    return ImageChops.subtract(ImageChops.add(picture, more), less)


def keep_colours(painted: Image.Image, picture: Image.Image, radius: int) -> Image.Image:
    """``painted``'s detail on ``picture``'s colours: what is coarser than ``radius`` pixels stays as it was.

    As StableSR's colour correction does it (Wang et al. 2024), with a Gaussian for the wavelets. Radius 0
    keeps nothing of ``picture``.
    """
    if not radius:
        return painted
    blur = ImageFilter.GaussianBlur(radius)
    return add_change(painted, painted.filter(blur), picture.filter(blur))


def paste_back(
    original: Image.Image, background: Image.Image, painted: Image.Image, mask: Image.Image, feather: int
) -> Image.Image:
    """``painted`` in the ``original`` that ``background`` is the canvas of, at the original's size.

    Inside the feathered mask lies the enlarged canvas. Outside it every pixel is the original's own, moved by
    no more than the canvas was there. Takes about six times the memory of the original.
    """
    whole = original.convert("RGB")
    if whole.size == painted.size:
        return painted
    box = tuple(round(v) for v in _seen_box(whole.size, painted.size))
    size = (box[2] - box[0], box[3] - box[1])
    place = whole.crop(box)
    around = Image.composite(background, painted, mask)  # the enlarged subject must not bleed out of its mask
    for change, more, less in (
        (ImageChops.add, around, background),
        (ImageChops.subtract, background, around),
    ):
        moved = ImageChops.subtract(more, less).resize(size, Image.Resampling.BILINEAR)
        place = change(place, moved)
    soft = feathered(mask, feather).resize(size, Image.Resampling.BILINEAR)
    soft = ImageChops.darker(soft, mask.resize(size, Image.Resampling.NEAREST))
    place.paste(painted.resize(size, Image.Resampling.LANCZOS), mask=soft)
    whole.paste(place, box[:2])
    return whole
