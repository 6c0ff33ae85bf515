"""A close-up of a small subject, so that it is painted at a larger size.

A person far away has few pixels, and a VAE and a UNet keep little of an arm that is three pixels wide. So the
pose and detail steps enlarge the surroundings of a small subject mask to the canvas's size, paint there, and
put the result back. Diffusers' ``padding_mask_crop`` does the same, but doesn't show what it cropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from generation.models.profiles import ModelProfile

WORTH = 1.25  # times that a close-up enlarges, at least: a subject that fills the canvas is painted as it is


@dataclass(frozen=True)
class CloseUp:
    """``box``: left, top, right and bottom in canvas pixels; None: the whole canvas is painted as it is."""

    box: tuple[int, int, int, int] | None

    def enlarge(self, picture: Image.Image) -> Image.Image:
        """The box's part of a picture, mask or skeleton of the canvas's size, as large as the canvas."""
        if not self.box:
            return picture
        return picture.resize(picture.size, Image.Resampling.BICUBIC, self.box)

    def put_back(self, painted: Image.Image, picture: Image.Image) -> Image.Image:
        """``picture`` with the close-up ``painted`` in its box."""
        if not self.box:
            return painted
        left, top, right, bottom = self.box
        whole = picture.copy()
        whole.paste(painted.resize((right - left, bottom - top), Image.Resampling.LANCZOS), self.box)
        return whole


def close_up_of(mask: Image.Image, profile: ModelProfile) -> CloseUp:
    """The smallest box of the canvas's proportions that holds the mask and ``profile.subject_padding`` pixels
    around it."""
    box = mask.getbbox()
    if not profile.subject_padding or not box:
        return CloseUp(None)
    edges = [v - profile.subject_padding for v in box[:2]] + [v + profile.subject_padding for v in box[2:]]
    share = max((edges[2] - edges[0]) / mask.width, (edges[3] - edges[1]) / mask.height)
    if share * WORTH > 1:
        return CloseUp(None)
    width, height = round(share * mask.width), round(share * mask.height)
    left, top = (
        min(max(0, round((low + high - size) / 2)), whole - size)
        for low, high, size, whole in zip(edges[:2], edges[2:], (width, height), mask.size, strict=True)
    )
    return CloseUp((left, top, left + width, top + height))
