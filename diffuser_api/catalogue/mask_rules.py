"""The rules for an action's masks, checked when a shot is saved: a mask has the picture's size, and is white
where the subject or the face is.

A program can't know what an editor meant. But a mask that would paint over the whole place, or that leaves
out the joints of the skeleton, is surely a mistake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from PIL import Image, ImageChops

from generation.models.profiles import get_profile
from generation.picture import paintable
from generation.picture.canvas import canvas_size, fit_mask
from generation.poses import openpose
from generation.vision.opening import as_mask, as_rgb, load_upright
from generation.vision.types import Point

MAX_FACE_OUTSIDE = 0.02  # share of the face mask that may lie outside the subject mask: soft edges
MOST_SUBJECT, MOST_FACE = 0.93, 0.6  # share of the frame that may be white
MOST_EDGE = 0.9  # share of the frame's edge that may be white
LEAST_JOINTS = 0.5  # share of the skeleton's joints that must lie in the subject mask
NAMES = {"subject_mask": _("subject mask"), "face_mask": _("face mask")}
HEAD = (openpose.NOSE, openpose.R_EYE, openpose.L_EYE)


@dataclass(frozen=True)
class Shot:
    """The decoded files of an action's image. The masks are of mode L; 128 and brighter is white."""

    image: Image.Image
    skeleton: Image.Image
    subject_mask: Image.Image
    face_mask: Image.Image

    @property
    def masks(self) -> dict[str, Image.Image]:
        return {"subject_mask": self.subject_mask, "face_mask": self.face_mask}


def problems(image, skeleton, subject_mask, face_mask) -> dict[str, str]:
    """A sentence for each field whose file breaks a rule. Empty if a file is no picture."""
    pictures = [
        _open(image),
        _open(skeleton),
        _open(subject_mask, is_mask=True),
        _open(face_mask, is_mask=True),
    ]
    if not all(pictures):
        return {}
    shot = Shot(*pictures)
    for rule in (_of_another_size, _empty, _too_small, _too_much, _beside_the_figure, _face_outside):
        if found := rule(shot):
            return found
    return {}


def _open(file, is_mask: bool = False) -> Image.Image | None:
    """A field's picture; None if the file is no picture, which the field's own validation reports."""
    try:
        file.open("rb")
        with Image.open(file) as picture:
            load_upright(picture)
            shown = as_mask(picture) if is_mask else as_rgb(picture, "black")
        file.seek(0)
    except (OSError, ValueError, SyntaxError):
        return None
    return shown


def _area(mask: Image.Image) -> int:
    return sum(mask.histogram()[128:])


def _share(mask: Image.Image) -> float:
    return _area(mask) / (mask.width * mask.height)


def _share_of_edge(mask: Image.Image) -> float:
    """The share of the frame's edge that is white. It is nearly 1 if black and white are exchanged."""
    right, bottom = mask.width - 1, mask.height - 1
    sides = [
        (0, 0, right, 1),
        (right, 0, right + 1, bottom),
        (1, bottom, right + 1, bottom + 1),
        (0, 1, 1, bottom + 1),
    ]
    white = sum(_area(mask.crop(side)) for side in sides)
    return white / (2 * (right + bottom))


def _of_another_size(shot: Shot) -> dict[str, str]:
    def sizes(picture: Image.Image) -> dict[str, str]:
        whole = f"{shot.image.width} x {shot.image.height}"
        return {"size": f"{picture.width} x {picture.height}", "picture": whole}

    found = {}
    if shot.skeleton.size != shot.image.size:
        found["image"] = gettext(
            "The skeleton is {size} pixels, the picture {picture}: draw both on the same frame."
        ).format(**sizes(shot.skeleton))
    for field, mask in shot.masks.items():
        if mask.size != shot.image.size:
            found[field] = gettext(
                "The mask is {size} pixels, the picture {picture}: draw both on the same frame."
            ).format(**sizes(mask))
    return found


def _empty(shot: Shot) -> dict[str, str]:
    sentence = gettext(
        "The {mask} is empty: its brightest pixel is {level} of 255. Paint white where something may be "
        "painted; black on a transparent ground is empty too."
    )
    brightest = {field: mask.getextrema()[1] for field, mask in shot.masks.items()}
    return {
        field: sentence.format(mask=NAMES[field], level=level)
        for field, level in brightest.items()
        if level < 128
    }


def _too_small(shot: Shot) -> dict[str, str]:
    """Checks the masks on a canvas of their own aspect ratio. In no place are they larger than there."""
    profile, found = get_profile(), {}
    for field, mask in shot.masks.items():
        fitted = fit_mask(mask, canvas_size(*mask.size, profile.pixel_budget))
        if problem := too_small(field, fitted, profile.feather):
            found[field] = f"{problem} {gettext('Draw it larger.')}"
    return found


def too_small(field: str, mask: Image.Image, feather: int) -> str | None:
    """The sentence of ``paintable.problem`` in the reader's language."""
    if not (found := paintable.too_small(field, mask, feather)):
        return None
    sentence = gettext(
        "The {mask} is too small: in a picture painted at {size} pixels its thickest part is {side} wide; "
        "{least} are needed."
    )
    size = f"{mask.width} x {mask.height}"
    return sentence.format(mask=NAMES[field], size=size, side=found.side, least=found.least)


def _too_much(shot: Shot) -> dict[str, str]:
    sentence = gettext(
        "{share} of the mask is white: the place itself would be painted over. Paint white only where "
        "{meant} may be; if black and white are exchanged, invert the mask."
    )
    limits = {
        "subject_mask": (MOST_SUBJECT, gettext("the subject")),
        "face_mask": (MOST_FACE, gettext("the face")),
    }
    shares = {field: _share(mask) for field, mask in shot.masks.items()}
    return {
        field: sentence.format(share=f"{shares[field]:.0%}", meant=meant)
        for field, (most, meant) in limits.items()
        if shares[field] > most or _share_of_edge(shot.masks[field]) > MOST_EDGE
    }


def _beside_the_figure(shot: Shot) -> dict[str, str]:
    """Finds masks that leave out the skeleton's joints. Finds none if the joints can't be read."""
    joints = openpose.read(shot.skeleton) or []
    seen = [joint for joint in joints if joint]
    if seen and _held(shot.subject_mask, seen) < LEAST_JOINTS * len(seen):
        return {
            "subject_mask": gettext(
                "The skeleton's joints lie in the mask's black: paint white where the subject is, or invert "
                "the mask if black and white are exchanged."
            )
        }
    head = [joints[joint] for joint in HEAD if joints and joints[joint]]
    if head and not _held(_box_of(shot.face_mask), head):
        sentence = gettext("The skeleton's face lies in the mask's black: paint white where the face is.")
        return {"face_mask": sentence}
    return {}


def _held(mask: Image.Image, joints: Sequence[Point]) -> int:
    """How many of the joints lie in the mask's white."""

    def level(x: float, y: float) -> int:
        return mask.getpixel((min(max(int(x), 0), mask.width - 1), min(max(int(y), 0), mask.height - 1)))

    return sum(level(*joint) > 127 for joint in joints)


def _box_of(mask: Image.Image) -> Image.Image:
    """A mask that is white in the box around the white of ``mask``. A face mask may be narrower than the
    eyes."""
    box = Image.new("L", mask.size)
    box.paste(255, mask.point(lambda v: 255 if v > 127 else 0).getbbox())
    return box


def _face_outside(shot: Shot) -> dict[str, str]:
    outside = _area(ImageChops.subtract(shot.face_mask, shot.subject_mask))
    if outside <= MAX_FACE_OUTSIDE * _area(shot.face_mask):
        return {}
    return {
        "face_mask": gettext(
            "The face mask leaves the subject mask: draw it inside, or enlarge the subject mask."
        )
    }
