"""Makes a LoRA's training pictures from a visitor's photos: the face in several sizes, with captions.

    python -m generation.training_set OUT PHOTO...

A LoRA that is trained only on close-ups can't draw a small face. A LoRA that is trained only on whole photos
learns little of the face. So the training gets each whole photo, and squares that are cut around its face.
Other people's faces are painted over. Imports neither torch nor Django.
"""

from __future__ import annotations

import argparse
import collections
import math
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from generation.models.profiles import TrainingSettings, get_profile
from generation.vision import detectors
from generation.vision.types import Face

ENLARGED = 1.5  # how far a square may be enlarged, at most, to the training's resolution
BACKGROUND = 0.1  # the weight of the background in the loss, with ``mask_background``; the person has 1
ALIKE = 1.25  # a square is left out unless the next larger one is at least so many times as large


@dataclass(frozen=True)
class Size:
    """A square around a face. ``share``: the face's width. ``above``: how far the face's centre lies above
    the square's centre. Both are parts of the square's side."""

    name: str
    share: float
    above: float
    caption: str  # with {subject} for the token and class


SIZES = (
    Size("tight", 0.62, 0.0, "face of {subject}"),
    Size("portrait", 0.40, 0.06, "portrait of {subject}"),
    Size("bust", 0.22, 0.12, "{subject}, head and shoulders"),
)
WHOLE = "photo of {subject}"


def write(photos: list[Path], out: Path, training: TrainingSettings, seeing: ModuleType) -> dict[str, int]:
    """Fill the trainer's folders, ``out/<repeats>_<tokens>``. Returns the number of pictures of each size.

    A photo's repeats are divided among the pictures made from it, so that an epoch has the same length as
    with whole photos only. Raises OSError for a file that is no picture.
    """
    subject = f"{training.token} {training.class_word}"
    counts: collections.Counter[str] = collections.Counter()
    for number, path in enumerate(photos, start=1):
        pictures = cut(path, training.resolution, seeing) if training.face_sizes else [("whole", None, WHOLE)]
        for place, (name, picture, caption) in enumerate(pictures):
            more = place < training.repeats % len(pictures)
            folder = out / f"{training.repeats // len(pictures) + more}_{subject}"
            folder.mkdir(parents=True, exist_ok=True)
            target = folder / f"photo-{number}-{name}{path.suffix if picture is None else '.png'}"
            if training.mask_background:
                target = target.with_suffix(".png")
                faded(picture or Image.open(path), seeing).save(target)
            elif picture is None:
                shutil.copyfile(path, target)
            else:
                picture.save(target)
            target.with_suffix(".txt").write_text(caption.format(subject=subject), "utf-8")
            counts[name] += 1
    return dict(counts)


def cut(path: Path, resolution: int, seeing: ModuleType) -> list[tuple[str, Image.Image | None, str]]:
    """(name, picture, caption) for each size that the photo has enough pixels for, and last the whole photo.

    Each square is resized to ``resolution``. The whole photo's picture is None if its file can be used as it
    is: nothing had to be painted over.
    """
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    faces = seeing.find_faces(photo)
    for other in faces[1:]:
        hide(photo, other)
    pictures: list[tuple[str, Image.Image | None, str]] = []
    sides = [max(faces[0].width / size.share, resolution / ENLARGED) for size in SIZES] if faces else []
    for size, side, larger in zip(SIZES, sides, [*sides[1:], math.inf], strict=False):
        if side * ALIKE <= min(larger, *photo.size):
            square = photo.crop(around(faces[0], side, size.above, photo.size))
            square = square.resize((resolution, resolution), Image.Resampling.LANCZOS)
            pictures.append((size.name, square, size.caption))
    if len(faces) > 1:
        photo.thumbnail((4 * resolution, 4 * resolution))
    return [*pictures, ("whole", photo if len(faces) > 1 else None, WHOLE)]


def faded(picture: Image.Image, seeing: ModuleType) -> Image.Image:
    """RGBA: the alpha is 1 on the person and BACKGROUND elsewhere, or 1 everywhere if no person is found."""
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    mask = seeing.person_mask(picture)
    if mask.getbbox():
        picture.putalpha(mask.point(lambda v: max(v, round(255 * BACKGROUND))))
    return picture.convert("RGBA")


def around(face: Face, side: float, above: float, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A square around the face. Where it would reach beyond the picture's edge, it is moved inside."""
    side = int(side)
    middle = (face.centre[0], face.centre[1] + above * side)
    left, top = (int(min(max(0, c - side / 2), whole - side)) for c, whole in zip(middle, size, strict=True))
    return (left, top, left + side, top + side)


def hide(photo: Image.Image, face: Face) -> None:
    """Paint a bystander's face and hair over with their mean colour."""
    left, top, right, bottom = face.box
    wide, high = right - left, bottom - top
    left, top = max(0, int(left - 0.4 * wide)), max(0, int(top - 0.6 * high))
    right, bottom = min(photo.width, int(right + 0.4 * wide)), min(photo.height, int(bottom + 0.3 * high))
    part = photo.crop((left, top, right, bottom))
    mask = Image.new("L", part.size)
    ImageDraw.Draw(mask).ellipse((0, 0, part.width - 1, part.height - 1), fill=255)
    mean = tuple(int(v) for v in np.asarray(part).mean((0, 1)))
    photo.paste(mean, (left, top), mask.filter(ImageFilter.GaussianBlur(0.04 * wide)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("photos", type=Path, nargs="+")
    args = parser.parse_args()
    try:
        counts = write(args.photos, args.out, get_profile().training, detectors())
    except OSError as error:
        raise SystemExit(f"no picture: {error}") from error
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    main()
