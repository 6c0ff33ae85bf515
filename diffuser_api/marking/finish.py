"""Adds the marks to the finished picture and signs it.

The steps' own pictures are not changed, because an interrupted job continues from them.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.utils import timezone
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffuser_api.marking import signing
from generation import job_folder
from generation.marking import label, watermark
from generation.marking.source_type import PNG_KEYWORD, XMP
from generation.picture.canvas import fit_mask
from generation.request import GenerationRequest

FINISHED = "finished.png"


def finish(folder: Path, picture: Path, request: GenerationRequest, reference: int | None = None) -> Path:
    """The path of the marked and signed picture, in the same folder. ``reference``: of its watermark.

    It is written under another name and renamed, so it is whole or absent. After a kill, the next attempt
    makes it again.
    """
    aside = folder / f"marking-{FINISHED}"
    with Image.open(picture) as image:
        chunks = PngInfo()
        for name, text in image.text.items():
            chunks.add_itxt(name, text)
        chunks.add_itxt(PNG_KEYWORD, XMP)
        marked = image if reference is None else watermark.put(image, reference)
        _labelled(marked, folder, request).save(aside, "PNG", pnginfo=chunks)
    place = hashlib.sha256((folder / request.background).read_bytes()).hexdigest()
    signing.sign_finished(aside, job_folder.read_record(aside), place, timezone.now())
    return aside.rename(folder / FINISHED)


def _labelled(picture: Image.Image, folder: Path, request: GenerationRequest) -> Image.Image:
    if settings.SOMEBODY_ELSE_LABELS:
        return picture
    face = fit_mask(job_folder.read_picture(folder, request, "face_mask"), picture.size)
    return label.put(picture, face, settings.LABEL_CORNER, settings.LABEL_LOOK)
