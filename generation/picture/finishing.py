"""The finished picture: the painted parts in the place's photograph, restored."""

from __future__ import annotations

import dataclasses

from PIL import Image

from generation.models.profiles import ModelProfile
from generation.picture.canvas import Canvas, seen_box
from generation.picture.compositing import paste_back
from generation.picture.restoring import restore
from generation.vision.visitor import Visitor


def in_photograph(
    painted: Image.Image,
    body: Image.Image,
    photograph: Image.Image,
    canvas: Canvas,
    visitor: Visitor,
    profile: ModelProfile,
) -> Image.Image:
    """``painted``, the last step's picture, put into the place's ``photograph`` at the photograph's size.

    With ``profile.restoration``, the subject and its head are restored at this size, each by itself: a head
    that is small on the canvas gets more pixels than the canvas has. The subject is that of ``body``, the
    picture before the face step. So another face changes nothing else.
    """
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

    def restored(picture: Image.Image, mask: Image.Image) -> Image.Image:
        whole = paste_back(photograph, canvas.background, picture, canvas.person_mask, profile.feather)
        return restore(whole.crop((left, top, right, bottom)), large, mask, visitor, padded)

    subject, head = restored(body, large.subject_mask), restored(painted, large.face_mask)
    whole = photograph.convert("RGB")
    whole.paste(Image.composite(head, subject, large.face_mask), (left, top))
    return whole
