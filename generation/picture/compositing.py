"""Laying what was painted over what was there: masks with soft edges, limits, and the way back to full size.

All pictures of a call have one size, unless it says otherwise: RGB, masks L. PIL only.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

from generation.picture.canvas import seen_box


def feathered(mask: Image.Image, radius: int) -> Image.Image:
    """The mask with an edge that fades over about ``radius`` pixels, all of it inside: 0 stays 0 outside."""
    if radius < 1:
        return mask
    soft = mask.filter(ImageFilter.MinFilter(2 * (radius // 2) + 1)).filter(
        ImageFilter.GaussianBlur(radius / 2)
    )
    return ImageChops.darker(soft, mask)


def lay_over(painted: Image.Image, picture: Image.Image, mask: Image.Image, feather: int) -> Image.Image:
    """``painted`` inside the mask, ``picture`` outside it; the edge between is soft, and inside the mask."""
    return Image.composite(painted, picture, feathered(mask, feather))


def bounded(painted: Image.Image, picture: Image.Image, limit: int) -> Image.Image:
    """``painted``, but no channel of any pixel farther than ``limit`` (of 255) from ``picture``."""
    low, high = (picture.point(lambda v, s=sign: max(0, min(255, v + s * limit))) for sign in (-1, 1))
    return ImageChops.lighter(low, ImageChops.darker(high, painted))


def add_change(picture: Image.Image, before: Image.Image, after: Image.Image) -> Image.Image:
    """``picture`` + (``after`` - ``before``), for each channel of each pixel, at least 0 and at most 255."""
    more, less = ImageChops.subtract(after, before), ImageChops.subtract(before, after)
    return ImageChops.subtract(ImageChops.add(picture, more), less)


def keep_colours(painted: Image.Image, picture: Image.Image, radius: int) -> Image.Image:
    """``painted``'s detail on ``picture``'s colours: what is coarser than ``radius`` pixels stays as it was.

    As StableSR's colour correction does it (Wang et al. 2024), with a Gaussian for the wavelets: ``radius``
    is the Gaussian's. 0 keeps nothing of ``picture``.
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
    box = tuple(round(v) for v in seen_box(whole.size, painted.size))
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
