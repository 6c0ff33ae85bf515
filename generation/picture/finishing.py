"""The finished picture: the painted parts in the place's photograph, restored."""

from __future__ import annotations

import dataclasses

from PIL import Image

from generation.models.profiles import ModelProfile
from generation.picture.canvas import Canvas, seen_box
from generation.picture.compositing import paste_back
from generation.picture.restoring import flatten_colours, restore_body, restore_head
from generation.vision.visitor import Visitor


def in_photograph(
    painted: Image.Image, photograph: Image.Image, canvas: Canvas, visitor: Visitor, profile: ModelProfile
) -> Image.Image:
    """``painted``, the last step's picture, put into the place's ``photograph`` at the photograph's size.

    With ``profile.restoration``, the person is restored at this size: a head that is small on the canvas gets
    more pixels than the canvas has.
    """
    whole = paste_back(photograph, canvas.background, painted, canvas.person_mask, profile.feather).copy()
    left, top, right, bottom = (round(edge) for edge in seen_box(photograph.size, canvas.size))
    size, times = (right - left, bottom - top), (right - left) / canvas.size[0]
    # Enlarged so, the masks have soft edges: steps of pixels would be seen.
    masks = (mask.resize(size, Image.Resampling.BILINEAR) for mask in (canvas.subject_mask, canvas.face_mask))
    large = Canvas(
        photograph.convert("RGB").crop((left, top, right, bottom)),
        canvas.skeleton.resize(size, Image.Resampling.BILINEAR),
        *masks,
    )
    padded = dataclasses.replace(profile, subject_padding=round(times * profile.subject_padding))
    person = restore_body(whole.crop((left, top, right, bottom)), large, padded)
    person = flatten_colours(person, large, profile)
    whole.paste(restore_head(person, large, visitor, padded), (left, top))
    return whole
