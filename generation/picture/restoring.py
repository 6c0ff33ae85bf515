"""Restores a painted person after the last denoising step, if the profile names a module for it.

A diffusion model of few parameters leaves mouths, glasses and tips of hair smeared, limbs faded, and clothes
mottled. As face restoration does (such as GFPGAN, Wang et al. 2021), one pass of another network mends the
head, and one of a second network the body. The place comes back around both. Then the colours of the body are
evened out.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from PIL import Image, ImageChops, ImageFilter

from generation.models.profiles import ModelProfile
from generation.picture.canvas import Canvas
from generation.picture.enlarging import close_up_of
from generation.vision.visitor import Visitor

CLOSE = 0.4  # of the picture's height: with a higher face mask, judges preferred the body as it was painted
SEAM = 40  # one part in so many of the canvas's longer side: so far from the head a body is fully restored
Network = Callable[..., tuple[Image.Image, Image.Image]]


def restore_head(
    painted: Image.Image, canvas: Canvas, visitor: Visitor, profile: ModelProfile
) -> Image.Image:
    """``painted`` with a restored head inside the face mask, laid on the place's own pixels.

    Without ``profile.restoration``, ``painted`` stays as it is. So it does without a skeleton, which says
    where the head is.
    """
    if not _can_restore(canvas, profile):
        return painted
    network = importlib.import_module(profile.restoration).restored_head
    around = close_up_of(canvas.face_mask, profile).box
    restored = _restored(painted, canvas, canvas.face_mask, around, lambda *views: network(*views, visitor))
    return Image.composite(restored, painted, canvas.face_mask)


def restore_body(painted: Image.Image, canvas: Canvas, profile: ModelProfile) -> Image.Image:
    """``painted`` with a restored body inside the subject mask and outside the face mask, laid on the place's
    own pixels. In a close-up, and without ``profile.restoration`` or a skeleton, ``painted`` stays as it is.

    What is inside the face mask isn't shown to the network, so that a new face changes nothing else. When the
    picture was enlarged, it mixed with the pixels around it: an influence of 1 or 2 of 255 is left.
    """
    if not _can_restore(canvas, profile) or _is_close(canvas):
        return painted
    mask = ImageChops.subtract(canvas.subject_mask, _whole_head(canvas))
    if not mask.getbbox():
        return painted
    network = importlib.import_module(profile.restoration).restored_body
    around = close_up_of(canvas.subject_mask, profile).box
    restored = _restored(_headless(painted, canvas), canvas, mask, around, network)
    return Image.composite(restored, painted, ImageChops.multiply(mask, _away_from_head(canvas)))


def flatten_colours(painted: Image.Image, canvas: Canvas, profile: ModelProfile) -> Image.Image:
    """``painted`` with even colours of the person outside the face mask. Without ``profile.restoration``,
    ``painted`` stays as it is. What is inside the face mask has no more influence than in ``restore_body``.
    """
    if not profile.restoration:
        return painted
    flatten = importlib.import_module(profile.restoration).flattened
    flat = flatten(_headless(painted, canvas), canvas.background)
    flat = Image.composite(flat, painted, canvas.person_mask)
    return Image.composite(painted, flat, _whole_head(canvas))


def _can_restore(canvas: Canvas, profile: ModelProfile) -> bool:
    return bool(profile.restoration and canvas.skeleton.convert("L").getbbox())


def _is_close(canvas: Canvas) -> bool:
    box = canvas.face_mask.getbbox()
    return box is not None and box[3] - box[1] > CLOSE * canvas.size[1]


def _whole_head(canvas: Canvas) -> Image.Image:
    """The face mask with all of its soft rim."""
    return canvas.face_mask.point(lambda value: 255 * (value > 0))


def _away_from_head(canvas: Canvas) -> Image.Image:
    """0 at the head's edge, 255 a little farther away: the body is cut off there, which must not be seen."""
    width = max(1, round(max(canvas.size) / SEAM))
    near = _whole_head(canvas).filter(ImageFilter.BoxBlur(width))  # 127 at the edge
    return near.point(lambda value: 255 - min(255, 2 * value))


def _headless(painted: Image.Image, canvas: Canvas) -> Image.Image:
    return Image.composite(canvas.background, painted, _whole_head(canvas))


def _restored(
    painted: Image.Image,
    canvas: Canvas,
    mask: Image.Image,
    around: tuple[int, int, int, int] | None,
    network: Network,
) -> Image.Image:
    """``painted`` with what ``network`` answers of the box ``around``; None is the whole canvas."""
    box = around or (0, 0, *painted.size)
    views = (one.crop(box) for one in (painted, canvas.background, canvas.skeleton, mask))
    subject, alpha = network(*views)
    restored = painted.copy()
    restored.paste(Image.composite(subject, canvas.background.crop(box), alpha), box[:2])
    return restored
