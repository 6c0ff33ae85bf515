"""The folder of one generation: the request, the files that the request names, and each step's picture.

The pictures are PNG files: ``0-background 1-pose 2-detail 3-detail 4-harmonize 5-face``, and ``unmarked``,
which is made of the last step's picture. Each is written under another name and then renamed, so a picture
that exists is whole. An interrupted generation continues from the newest picture. Imports no torch.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from generation.models.profiles import ModelProfile
from generation.picture import paintable
from generation.picture.canvas import Canvas, fit_canvas
from generation.request import GenerationRequest, InvalidRequest
from generation.step_table import ORDER
from generation.vision.opening import as_mask, as_rgb, load_upright

PICTURES = ("background", "skeleton", "subject_mask", "face_mask")  # fields of the request
PREVIEW = "preview.png"  # an unfinished picture of the first step, while that paints
UNMARKED = "unmarked.png"  # the finished picture before its marks; written before the last step's picture
RECORD = "cartolina"  # the PNG text chunk with the record of how the picture was made, as JSON


def picture_path(folder: Path, index: int) -> Path:
    """The picture after step ``index`` (1..5); 0 is the background on its canvas."""
    return folder / f"{index}-{ORDER[index - 1] if index else 'background'}.png"


def newest_index(folder: Path) -> int | None:
    """The number of the last step whose picture exists; None if not even the background's does."""
    found = [index for index in range(len(ORDER) + 1) if picture_path(folder, index).exists()]
    return max(found, default=None)


def write_picture(picture: Image.Image, path: Path, record: dict) -> None:
    """Write a PNG with ``record`` in its text chunk, whole or not at all."""
    chunks = PngInfo()
    chunks.add_itxt(RECORD, json.dumps(record, ensure_ascii=False))
    chunks.add_itxt("seed", str(record["seed"]))
    aside = path.with_suffix(".tmp")
    with open(aside, "wb") as file:
        picture.save(file, "PNG", pnginfo=chunks)
    os.replace(aside, path)


def write_preview(picture: Image.Image, folder: Path) -> None:
    """Write an unfinished picture for the waiting visitor, whole or not at all. No step reads it."""
    aside = folder / "preview.tmp"
    picture.save(aside, "PNG")
    os.replace(aside, folder / PREVIEW)


def likeness_path(folder: Path) -> Path:
    """Of the face in the finished picture: what ``vision.likeness.measure`` says."""
    return folder / "likeness.json"


def write_likeness(folder: Path, likeness: dict) -> None:
    likeness_path(folder).write_text(json.dumps(likeness), "utf-8")


def read_likeness(folder: Path) -> dict | None:
    """None where no face was painted that could be compared."""
    path = likeness_path(folder)
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def read_record(path: Path) -> dict:
    """The record of a picture that ``write_picture`` wrote."""
    with Image.open(path) as picture:
        return json.loads(picture.text[RECORD])


def read_step_picture(folder: Path, index: int) -> Image.Image:
    """The picture after step ``index``, RGB."""
    with Image.open(picture_path(folder, index)) as picture:
        return picture.convert("RGB")


def read_picture(folder: Path, request: GenerationRequest, field: str) -> Image.Image:
    """The picture that ``field`` of the request names: mode L for a mask, otherwise RGB.

    Raises InvalidRequest if the picture can't be read.
    """
    name = getattr(request, field)
    try:
        with Image.open(folder / name) as picture:
            load_upright(picture)
            if field.endswith("mask"):
                return as_mask(picture)
            return as_rgb(picture, beneath="black" if field == "skeleton" else "white")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"{field}: {name} can't be read as a picture: {error}") from error


def read_pictures(folder: Path, request: GenerationRequest) -> dict[str, Image.Image]:
    """All pictures that the request names, by field. Raises InvalidRequest if a picture can't be read."""
    return {field: read_picture(folder, request, field) for field in PICTURES}


def read_canvas(folder: Path, request: GenerationRequest, profile: ModelProfile) -> Canvas:
    """The request's pictures on one canvas.

    Raises InvalidRequest if a picture can't be read or a mask is too small.
    """
    canvas = fit_canvas(**read_pictures(folder, request), pixel_budget=profile.pixel_budget)
    for field in paintable.MASKS if request.lora else paintable.MASKS[:1]:  # no LoRA, no face step
        if problem := paintable.problem(field, getattr(canvas, field), profile.feather):
            raise InvalidRequest(f"{field}: {problem}")
    return canvas


def lay_out(request_file: Path, folder: Path) -> None:
    """Copy a request and the files beside it that it names into ``folder``. Raises InvalidRequest."""
    request = GenerationRequest.read(request_file)
    for field, name in request.files.items():
        source = request_file.parent / name
        if not source.is_file():
            raise InvalidRequest(f"{field}: there is no file {name} beside {request_file.name}")
        if Path(name).name != name:
            raise InvalidRequest(f"{field}: {name!r} must be the name of a file beside {request_file.name}")
        shutil.copyfile(source, folder / name)
    request.save(folder)
