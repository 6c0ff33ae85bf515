"""The folder of one generation: its request, the files that it names, and the picture after each step.

``0-background 1-pose 2-detail 3-detail 4-harmonize 5-face``, PNG. A picture is written aside and renamed, so
one that exists is whole, and a generation that was cut off goes on from the newest. Imports no torch.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageChops, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from generation.models.profiles import ModelProfile, get_profile
from generation.picture import canvas
from generation.request import GenerationRequest, InvalidRequest

ORDER = ("pose", "detail", "detail", "harmonize", "face")
PREVIEW = "preview.png"  # of the first step while it paints
FULL_SIZE = "full-size.png"
RECORD = "cartolina"  # the PNG text chunk that tells how a picture was made, as JSON


def planned_steps(request: GenerationRequest) -> list[str]:
    """The names of the steps in order; without a LoRA there is no face step."""
    return list(ORDER) if request.lora else list(ORDER[:-1])


def picture_path(folder: Path, index: int) -> Path:
    """The picture after step ``index`` (1..5); 0 is the background on its canvas."""
    return folder / f"{index}-{ORDER[index - 1] if index else 'background'}.png"


def newest_index(folder: Path) -> int | None:
    """The number of the last step whose picture is there, None if there is none yet."""
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
    """Whole or not at all, as ``write_picture``; nobody goes on from it."""
    aside = folder / "preview.tmp"
    picture.save(aside, "PNG")
    os.replace(aside, folder / PREVIEW)


def read_record(path: Path) -> dict:
    """The record of a picture that ``write_picture`` wrote."""
    with Image.open(path) as picture:
        return json.loads(picture.text[RECORD])


def _open(folder: Path, field: str, name: str) -> Image.Image:
    try:
        with Image.open(folder / name) as picture:
            picture.load()
            return picture
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise InvalidRequest(f"{field}: {name} can't be read as a picture: {error}") from error


@dataclass(frozen=True)
class Inputs:
    """A request with its pictures, all at canvas size: RGB, and mode L with 0 or 255 for the masks."""

    request: GenerationRequest
    profile: ModelProfile
    background: Image.Image
    skeleton: Image.Image
    subject_mask: Image.Image
    face_mask: Image.Image
    lora: Path | None

    @classmethod
    def read(cls, folder: Path) -> Inputs:
        """Raises InvalidRequest when a file is missing or no picture."""
        request = GenerationRequest.load(folder)
        profile = get_profile(request.profile)
        background = canvas.fit_background(
            _open(folder, "background", request.background), profile.pixel_budget
        )
        size = background.size
        skeleton = _open(folder, "skeleton", request.skeleton).convert("RGB")
        return cls(
            request=request,
            profile=profile,
            background=background,
            skeleton=canvas.fit_frame(skeleton, size, Image.Resampling.BILINEAR),
            subject_mask=canvas.fit_mask(_open(folder, "subject_mask", request.subject_mask), size),
            face_mask=canvas.fit_mask(_open(folder, "face_mask", request.face_mask), size),
            lora=folder / request.lora if request.lora else None,
        )


def prepare(folder: Path) -> None:
    """Write the background's picture, from which the first step begins, unless there is a picture already."""
    if newest_index(folder) is None:
        inputs = Inputs.read(folder)
        record = {"code": inputs.request.code, "seed": inputs.request.seed, "steps": []}
        write_picture(inputs.background, picture_path(folder, 0), record)


def finish(folder: Path) -> Path:
    """The finished picture's path: of the last step or, where the profile says so, of ``FULL_SIZE``, which is
    that picture at its background's own size."""
    request = GenerationRequest.load(folder)
    last = picture_path(folder, len(planned_steps(request)))
    if not get_profile(request.profile).full_size:
        return last
    inputs, original = Inputs.read(folder), _open(folder, "background", request.background)
    if original.size == inputs.background.size:
        return last
    with Image.open(last) as picture:
        painted = picture.convert("RGB")
    mask = ImageChops.lighter(inputs.subject_mask, inputs.face_mask)
    whole = canvas.paste_back(original, inputs.background, painted, mask, inputs.profile.feather)
    write_picture(whole, folder / FULL_SIZE, read_record(last))
    return folder / FULL_SIZE


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
