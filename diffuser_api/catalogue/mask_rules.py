"""What is asked of an action's masks: the mannequin's size, not empty, the face inside the subject."""

from __future__ import annotations

from PIL import Image, ImageChops

MAX_FACE_OUTSIDE = 0.02  # share of the face mask that may lie outside the subject mask: soft edges


def _open(file, mode: str) -> Image.Image | None:
    """The picture of a field's file, None where it is none (the field itself says so)."""
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
    """Field to sentence, for everything that is wrong with the three files."""
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
    return found
