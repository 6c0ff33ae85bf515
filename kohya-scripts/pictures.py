"""The training set: pictures in folders named ``<repeats>_<class tokens>``, with captions and sizes."""

from __future__ import annotations

import argparse
import dataclasses
import math
import re
from pathlib import Path

from PIL import Image, ImageOps
from reporting import TrainingError

PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


@dataclasses.dataclass
class Picture:
    path: Path
    caption: str
    repeats: int  # times per epoch
    bucket: tuple[int, int]  # width, height in pixels that it is trained at


def find_pictures(args: argparse.Namespace) -> list[Picture]:
    """Every picture in the folders named ``<repeats>_<class tokens>``, in a fixed order."""
    if not args.train_data_dir.is_dir():
        raise TrainingError(f"--train_data_dir: there is no folder {args.train_data_dir}")
    pictures = []
    for folder in sorted(p for p in args.train_data_dir.iterdir() if p.is_dir() and p.name[0] != "."):
        match = re.fullmatch(r"([1-9]\d*)_(.+)", folder.name)
        if not match:
            raise TrainingError(f'folder "{folder.name}" is not named <repeats>_<class tokens>')
        for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES):
            caption_file = path.with_suffix(args.caption_extension)
            written = caption_file.read_text(encoding="utf-8").strip() if caption_file.is_file() else ""
            caption = written.splitlines()[0] if written else match[2]
            with open_picture(path) as image:
                bucket = choose_bucket(*ImageOps.exif_transpose(image).size, args)
            pictures.append(Picture(path, caption, int(match[1]), bucket))
    if not pictures:
        raise TrainingError(f"no images in {args.train_data_dir}/<repeats>_<class tokens>/")
    return pictures


def open_picture(path: Path) -> Image.Image:
    try:
        image = Image.open(path)
        image.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise TrainingError(f"can't read the picture {path.name}: {error}") from error
    return image


def choose_bucket(width: int, height: int, args: argparse.Namespace) -> tuple[int, int]:
    """A picture's training size: the resolution, or a size of about its area in the picture's own shape."""
    if not args.enable_bucket:
        return args.resolution
    area, step = args.resolution[0] * args.resolution[1], args.bucket_reso_steps
    if args.bucket_no_upscale:
        scale = min(1.0, math.sqrt(area / (width * height)))
        return tuple(max(step, int(side * scale + 0.5) // step * step) for side in (width, height))
    low, high = args.min_bucket_reso, args.max_bucket_reso
    sizes = {(side, min(high, area // side // step * step)) for side in range(low, high + 1, step)}
    sizes = {size for w, h in sizes if h >= low for size in ((w, h), (h, w))} or {args.resolution}
    return min(
        sizes, key=lambda size: (abs(math.log(size[0] / size[1] * height / width)), -size[0] * size[1], size)
    )
