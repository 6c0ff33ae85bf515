"""Finds and replaces face masks that leave out the hair, as earlier versions of Cartolina proposed them.

A face mask has to hold the whole head. With a smaller mask, the visitor's face is painted among somebody
else's hair, which looks like a wig.
"""

from __future__ import annotations

from pathlib import Path

from django.core.files.base import ContentFile
from PIL import Image, ImageChops

from diffuser_api.models import ActionImage
from diffuser_api.photos.pictures import as_png, open_stored
from diffuser_api.storage import new_files
from generation.poses import mask_drawing, openpose

LEAST_HELD = 0.65  # share of the proposed head that a good mask holds; a mask of the face alone holds half


def leaves_out_hair(shot: ActionImage) -> bool:
    """Whether the shot's face mask leaves out hair. False if a file is gone, or the skeleton shows no
    head."""
    try:
        head, face = _proposed(shot), open_stored(shot.face_mask, "mask")
    except OSError:
        return False
    area = sum(head.histogram()[128:])
    held = sum(ImageChops.darker(head, face).histogram()[128:]) if head.size == face.size else area
    return held < LEAST_HELD * area


def propose_anew(shot: ActionImage) -> bool:
    """Enlarge the stored face mask to the whole head, and the subject mask so that it holds the head.

    False if a file is gone, the skeleton shows no head, or the files have different sizes.
    """
    try:
        head = _proposed(shot)
        face, subject = (open_stored(field, "mask") for field in (shot.face_mask, shot.subject_mask))
    except OSError:
        return False
    if head.getbbox() is None or not head.size == face.size == subject.size:
        return False
    face = ImageChops.lighter(face, head)
    with new_files() as files:
        for name, mask in (("face_mask", face), ("subject_mask", ImageChops.lighter(subject, face))):
            file = getattr(shot, name)
            file.save(Path(file.name).name, ContentFile(as_png(mask)), save=False)
            files.append(file)
        shot.save()
    return True


def _proposed(shot: ActionImage) -> Image.Image:
    """Raises OSError."""
    skeleton = open_stored(shot.skeleton, "skeleton")
    return mask_drawing.face_mask(openpose.read(skeleton) or [None] * len(openpose.NAMES), skeleton.size)
