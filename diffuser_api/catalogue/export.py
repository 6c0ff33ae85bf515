"""Writes the whole catalogue to a zip file. docs/catalogue.md describes the format."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from typing import IO

from django.utils.translation import gettext

from diffuser_api.catalogue.archive import FORMAT, INDEX, VERSION
from diffuser_api.languages import Translated
from diffuser_api.models import Action, ActionImage, Poi, PoiImage

SHOT_FILES = ("image", "skeleton", "subject_mask", "face_mask")


@dataclass
class Exported:
    """How many ``pictures`` are in the zip, and a sentence for each image or shot that was left out."""

    pictures: int = 0
    missing: list[str] = field(default_factory=list)


class _Gone(Exception):
    """The text names the file."""


def write(target: IO[bytes]) -> Exported:
    """Write the zip. If a file of an image or of a shot is gone, the image or shot is left out, and the index
    says so."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        export = _Export(archive)
        index = {
            "format": FORMAT,
            "version": VERSION,
            "places": [export.place(poi) for poi in Poi.objects.prefetch_related("images")],
            "actions": [export.action(action) for action in Action.objects.prefetch_related("images")],
        }
        if export.done.missing:
            index["missing"] = export.done.missing
        archive.writestr(INDEX, json.dumps(index, ensure_ascii=False, indent=1))
    return export.done


class _Export:
    def __init__(self, archive: zipfile.ZipFile):
        self.archive = archive
        self.done = Exported()

    def place(self, poi: Poi) -> dict:
        images = [self._with_files(image, ("image",)) for image in poi.images.all()]
        return {"name": poi.name, **_translations(poi), "images": [image for image in images if image]}

    def action(self, action: Action) -> dict:
        shots = [self._with_files(shot, SHOT_FILES) for shot in action.images.all()]
        return {
            "name": action.name,
            "description": action.description,
            **_translations(action),
            "shots": [shot for shot in shots if shot],
        }

    def _with_files(self, row: PoiImage | ActionImage, fields: tuple[str, ...]) -> dict | None:
        """Write the row's files, and return its entry in the index. None if a file is gone."""
        try:
            contents = {name: _content(row, name) for name in fields}
        except _Gone as gone:
            self.done.missing.append(f"{row}: {gone}")
            return None
        for name, content in contents.items():
            self.archive.writestr(getattr(row, name).name, content)
        self.done.pictures += len(contents)
        if isinstance(row, PoiImage):
            entry = {"name": row.name, "description": row.description, **_translations(row)}
            entry |= {"position": row.position} if row.position else {}
        else:
            entry = {"shot_type": row.shot_type, "kind": row.kind}
        return entry | {name: getattr(row, name).name for name in fields}


def _translations(row: Translated) -> dict:
    return {"translations": row.translations} if row.translations else {}


def _content(row: PoiImage | ActionImage, field_name: str) -> bytes:
    field_file = getattr(row, field_name)
    called = row._meta.get_field(field_name).verbose_name
    try:
        with field_file.open("rb") as file:
            return file.read()
    except ValueError as error:  # the row names none
        raise _Gone(gettext("it has no {file}.").format(file=called)) from error
    except OSError as error:
        sentence = gettext("its {file}, {name}, is gone or can't be read.")
        raise _Gone(sentence.format(file=called, name=field_file.name)) from error
