"""Cuts out the painted subject and puts it on the place's own pixels.

An inpainting model fills the whole mask. Around the subject, it paints a background that differs a little
from the real place, which looks like a halo. So the subject is separated from this background, and the
place's own pixels replace the background.
"""

from __future__ import annotations

import importlib

import numpy as np
from PIL import Image

from generation.models.profiles import ModelProfile
from generation.picture.canvas import Canvas

# Alpha up to the first is place, from the second on subject (benchmarks/matting.py).
PLACE, SUBJECT = 0.1, 0.5


def restore_place(
    painted: Image.Image,
    place: Image.Image,
    canvas: Canvas,
    inside: Image.Image,
    profile: ModelProfile,
) -> Image.Image:
    """``painted``, but inside the mask ``inside`` its subject is cut out and laid on ``place``.

    Without ``profile.matting``, ``painted`` stays as it is.
    """
    if not profile.matting:
        return painted
    cut = cut_out(painted, place, canvas.skeleton, canvas.person_mask, profile)
    return Image.composite(cut, painted, inside)


def cut_out(
    painted: Image.Image,
    place: Image.Image,
    skeleton: Image.Image,
    mask: Image.Image,
    profile: ModelProfile,
) -> Image.Image:
    """``painted`` where its subject is, and ``place`` elsewhere. All pictures have one size; masks are L.

    Everything outside ``mask`` is place. Without a skeleton there is no subject to be found, and ``painted``
    is returned as it is.
    """
    if not np.asarray(skeleton.convert("L")).any():
        return painted
    alpha = importlib.import_module(profile.matting).alpha(painted, place, skeleton, mask)
    share = np.clip((alpha - PLACE) / (SUBJECT - PLACE), 0, 1) * (np.asarray(mask) > 127)
    return Image.composite(painted, place, Image.fromarray((share * 255).round().astype(np.uint8)))
