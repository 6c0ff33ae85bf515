"""The canvas: the place's photograph at the models' size, with skeleton and masks fitted into it.

An action's skeleton and masks have one size, so they are scaled and moved together. PIL is the only library
that it imports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from PIL import Image, ImageChops

MULTIPLE = 8  # sides are multiples of 8, because the VAE makes one latent of 8 x 8 pixels


@dataclass(frozen=True)
class Canvas:
    """The pictures of a request, all of one size: RGB, masks L with 0 or 255."""

    background: Image.Image
    skeleton: Image.Image
    subject_mask: Image.Image  # the area that the subject may fill
    face_mask: Image.Image  # the area that the face may fill; only its edge may lie outside the subject mask

    @property
    def size(self) -> tuple[int, int]:
        return self.background.size

    @property
    def person_mask(self) -> Image.Image:
        """Subject mask and face mask together."""
        return ImageChops.lighter(self.subject_mask, self.face_mask)


def fit_canvas(
    background: Image.Image,
    skeleton: Image.Image,
    subject_mask: Image.Image,
    face_mask: Image.Image,
    pixel_budget: int,
) -> Canvas:
    """The canvas made from pictures of any size and mode. Skeleton and masks must be of one size.

    ``pixel_budget``: the largest width x height of the canvas.
    """
    background = fit_background(background, pixel_budget)
    size = background.size
    return Canvas(
        background=background,
        skeleton=fit_frame(skeleton.convert("RGB"), size, Image.Resampling.BILINEAR),
        subject_mask=fit_mask(subject_mask, size),
        face_mask=fit_mask(face_mask, size),
    )


def canvas_size(width: int, height: int, pixel_budget: int) -> tuple[int, int]:
    """The canvas's sides: multiples of 8, nearly the background's aspect ratio, at most ``pixel_budget``
    pixels."""
    scale = math.sqrt(pixel_budget / (width * height))
    sides = [max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in (width, height)]
    while sides[0] * sides[1] > pixel_budget:
        longer = 0 if sides[0] >= sides[1] else 1
        sides[longer] -= MULTIPLE
    return sides[0], sides[1]


def seen_box(size: tuple[int, int], canvas: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of a picture that the canvas shows: the largest centred box with the canvas's aspect ratio.

    ``size``: the picture's. Returns left, top, right and bottom in the picture's pixels.
    """
    scale = max(canvas[0] / size[0], canvas[1] / size[1])
    width, height = canvas[0] / scale, canvas[1] / scale
    left, top = (size[0] - width) / 2, (size[1] - height) / 2
    return (left, top, left + width, top + height)


def fit_background(picture: Image.Image, pixel_budget: int) -> Image.Image:
    """The background at canvas size, RGB: scaled to cover the canvas, cropped by less than 8 pixels."""
    picture = picture.convert("RGB")
    return fitted(picture, canvas_size(*picture.size, pixel_budget))


def fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture at ``size``: scaled to cover it, and what is too much cropped on both sides."""
    if picture.size == size:
        return picture
    return picture.resize(size, Image.Resampling.LANCZOS, box=seen_box(picture.size, size))


def fit_frame(frame: Image.Image, size: tuple[int, int], resample: Image.Resampling) -> Image.Image:
    """A skeleton or mask on a black canvas of ``size``: as large as fits, at the bottom, in the middle."""
    scale = min(size[0] / frame.width, size[1] / frame.height)
    fitted = (max(1, round(frame.width * scale)), max(1, round(frame.height * scale)))
    canvas = Image.new(frame.mode, size)
    canvas.paste(frame.resize(fitted, resample), ((size[0] - fitted[0]) // 2, size[1] - fitted[1]))
    return canvas


def fit_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A mask on a canvas of ``size``, as ``fit_frame`` places it: mode L, 0 or 255."""
    fitted = fit_frame(mask.convert("L"), size, Image.Resampling.BILINEAR)
    return fitted.point(lambda value: 255 if value > 127 else 0)
