"""Restores a painted person after the last denoising step, if the profile names a module for it.

A diffusion model of few parameters leaves mouths, glasses and tips of hair smeared, and clothes mottled. Face
restoration (such as GFPGAN, Wang et al. 2021) mends the head in one pass of another network. The place comes
back around it. The colours of the rest are evened out.
"""

from __future__ import annotations

import importlib

from PIL import Image

from generation.models.profiles import ModelProfile
from generation.picture.canvas import Canvas
from generation.picture.enlarging import close_up_of
from generation.vision.visitor import Visitor


def restore_head(
    painted: Image.Image, canvas: Canvas, visitor: Visitor, profile: ModelProfile
) -> Image.Image:
    """``painted`` with a restored head inside the face mask, laid on the place's own pixels.

    Without ``profile.restoration``, ``painted`` stays as it is. So it does without a skeleton, which says
    where the head is.
    """
    if not profile.restoration or canvas.skeleton.convert("L").getbbox() is None:
        return painted
    mask = canvas.face_mask
    box = close_up_of(mask, profile).box or (0, 0, *painted.size)
    views = (one.crop(box) for one in (painted, canvas.background, canvas.skeleton, mask))
    head, alpha = importlib.import_module(profile.restoration).restored(*views, visitor)
    restored = painted.copy()
    restored.paste(Image.composite(head, canvas.background.crop(box), alpha), box[:2])
    return Image.composite(restored, painted, mask)


def flatten_colours(painted: Image.Image, canvas: Canvas, profile: ModelProfile) -> Image.Image:
    """``painted`` with even colours of the person outside the face mask. Without ``profile.restoration``,
    ``painted`` stays as it is.

    What is inside the face mask has no influence, so a new face changes nothing else in the picture.
    """
    if not profile.restoration:
        return painted
    head = canvas.face_mask.point(lambda value: 255 * (value > 0))  # with its soft rim
    headless = Image.composite(canvas.background, painted, head)
    flat = importlib.import_module(profile.restoration).flattened(headless, canvas.background)
    return Image.composite(painted, Image.composite(flat, painted, canvas.person_mask), head)
