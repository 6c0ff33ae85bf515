"""Combines a painted picture with the old one: masks with soft edges, limits, and the return to full size.

Pictures are RGB and masks are L. The pictures of a call have one size, unless the function says otherwise.
PIL is the only library that it imports.
"""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter

from generation.picture.canvas import seen_box


def feathered(mask: Image.Image, radius: int) -> Image.Image:
    """The mask with a soft edge. It fades over about ``radius`` pixels, inside the mask: outside it stays
    0."""
    if radius < 1:
        return mask
    soft = mask.filter(ImageFilter.MinFilter(2 * (radius // 2) + 1)).filter(
        ImageFilter.GaussianBlur(radius / 2)
    )
    return ImageChops.darker(soft, mask)


def lay_over(painted: Image.Image, picture: Image.Image, mask: Image.Image, feather: int) -> Image.Image:
    """``painted`` inside the mask and ``picture`` outside it. The edge is soft, and lies inside the mask."""
    return Image.composite(painted, picture, feathered(mask, feather))


def bounded(painted: Image.Image, picture: Image.Image, limit: int) -> Image.Image:
    """``painted``, but in no channel of any pixel more than ``limit`` (of 255) away from ``picture``."""
    low, high = (picture.point(lambda v, s=sign: max(0, min(255, v + s * limit))) for sign in (-1, 1))
    return ImageChops.lighter(low, ImageChops.darker(high, painted))


def add_change(picture: Image.Image, before: Image.Image, after: Image.Image) -> Image.Image:
    """``picture`` + (``after`` - ``before``), for each channel of each pixel, at least 0 and at most 255."""
    more, less = ImageChops.subtract(after, before), ImageChops.subtract(before, after)
    return ImageChops.subtract(ImageChops.add(picture, more), less)


def keep_colours(painted: Image.Image, picture: Image.Image, radius: int) -> Image.Image:
    """``painted``'s detail on ``picture``'s colours. Structures coarser than ``radius`` pixels are
    ``picture``'s.

    This is StableSR's colour correction (Wang et al. 2024) with a Gaussian blur instead of wavelets.
    ``radius`` is the Gaussian's; with 0, the result is ``painted``.
    """
    if not radius:
        return painted
    blur = ImageFilter.GaussianBlur(radius)
    return add_change(painted, painted.filter(blur), picture.filter(blur))


def paste_back(
    original: Image.Image, background: Image.Image, painted: Image.Image, mask: Image.Image, feather: int
) -> Image.Image:
    """``painted`` put into ``original`` at the original's size. ``background`` is ``original`` on the canvas.

    Inside the feathered mask, the result is the enlarged ``painted``. Outside it, each pixel is the
    original's, plus the change that the steps made there (the difference between ``painted`` and
    ``background``, enlarged). Takes about six times the memory of the original.
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
