"""The rules for an action's masks: of the image's size, not empty, the face mask inside the subject mask."""

from __future__ import annotations

from PIL import Image, ImageChops

from generation.models.profiles import get_profile
from generation.picture import paintable
from generation.picture.canvas import canvas_size, fit_mask

MAX_FACE_OUTSIDE = 0.02  # share of the face mask that may lie outside the subject mask: soft edges


def _open(file, mode: str) -> Image.Image | None:
    """A field's picture; None if the file is no picture, which the field's own validation reports."""
    try:
        file.open("rb")
        with Image.open(file) as picture:
            return picture.convert(mode)
    except (OSError, ValueError):
        return None
    finally:
        file.seek(0)


def _area(mask: Image.Image) -> int:
    return sum(mask.histogram()[128:])


def problems(image, subject_mask, face_mask) -> dict[str, str]:
    """A sentence for each field whose file breaks a rule."""
    frame, subject, face = _open(image, "RGB"), _open(subject_mask, "L"), _open(face_mask, "L")
    if not (frame and subject and face):
        return {}
    found = {}
    for field, mask in (("subject_mask", subject), ("face_mask", face)):
        if mask.size != frame.size:
            wanted, got = (f"{w} x {h}" for w, h in (frame.size, mask.size))
            found[field] = f"The mask is {got} pixels, the image {wanted}: draw both on the same frame."
        elif not _area(mask):
            found[field] = "The mask is empty: paint white where something may be painted."
    if not found:
        outside = _area(ImageChops.subtract(face, subject))
        if outside > MAX_FACE_OUTSIDE * _area(face):
            found["face_mask"] = (
                "The face mask leaves the subject mask: draw it inside, or enlarge the subject mask."
            )
    return found or _too_small({"subject_mask": subject, "face_mask": face})


def _too_small(masks: dict[str, Image.Image]) -> dict[str, str]:
    """Judged in a place of the masks' own shape, in which they are painted as large as anywhere."""
    profile, found = get_profile(), {}
    for field, mask in masks.items():
        fitted = fit_mask(mask, canvas_size(*mask.size, profile.pixel_budget))
        if problem := paintable.problem(field, fitted, profile.feather):
            found[field] = f"{problem} Draw it larger."
    return found
