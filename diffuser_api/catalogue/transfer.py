"""The whole catalogue written to a zip file and read from one. docs/catalogue.md describes the format.

Nothing is unpacked to the disk: each picture is read from the zip, within limits, looked at, and saved by the
storage under a name that the storage makes. Everything or nothing is imported.
"""

from __future__ import annotations

import io
import json
import re
import warnings
import zipfile
from collections import Counter
from contextlib import suppress
from typing import IO

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import transaction
from PIL import Image

from diffuser_api.models import Action, ActionImage, Poi, PoiImage

INDEX = "catalogue.json"
FORMAT, VERSION = "cartolina-catalogue", 1
MAX_FILES = 10_000
MAX_INDEX_MB = 8
MAX_TOTAL_MB = 4096  # of all pictures, unpacked
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP")
SHOT_FILES = ("image", "skeleton", "subject_mask", "face_mask")
UNTEXT = re.compile("[\0\ud800-\udfff]")  # characters that no database stores
NAME = re.compile(r"(?:pois|actions)/[^/\\\0]{1,150}")  # as the storage makes them


class CatalogueRefused(Exception):
    """The text says what is wrong with the zip."""


# --- out ----------------------------------------------------------------------------------------------------


def write(target: IO[bytes]) -> int:
    """Writes the zip; how many pictures it holds."""
    files: dict[str, object] = {}

    def note(field_file) -> str:
        files[field_file.name] = field_file
        return field_file.name

    index = {
        "format": FORMAT,
        "version": VERSION,
        "places": [
            {
                "name": poi.name,
                "images": [
                    {"name": image.name, "description": image.description, "image": note(image.image)}
                    for image in poi.images.all()
                ],
            }
            for poi in Poi.objects.prefetch_related("images")
        ],
        "actions": [
            {
                "name": action.name,
                "description": action.description,
                "shots": [
                    {"shot_type": shot.shot_type, "kind": shot.kind}
                    | {field: note(getattr(shot, field)) for field in SHOT_FILES}
                    for shot in action.images.all()
                ],
            }
            for action in Action.objects.prefetch_related("images")
        ],
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:  # pictures are compressed already
        archive.writestr(INDEX, json.dumps(index, ensure_ascii=False, indent=1))
        for name, field_file in files.items():
            with field_file.open("rb") as source, archive.open(name, "w") as part:
                for chunk in source.chunks():
                    part.write(chunk)
    return len(files)


# --- in -----------------------------------------------------------------------------------------------------


def read(source: IO[bytes]) -> Counter:
    """Adds and updates what the zip holds; deletes nothing. How many rows were "added", "changed", "same".

    Raises CatalogueRefused, and then nothing was imported.
    """
    try:
        with zipfile.ZipFile(source) as archive:
            return _Import(archive).run()
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, RuntimeError) as error:
        raise CatalogueRefused(f"This is no zip file that can be read: {error}") from error


def sentence(counts: Counter) -> str:
    """What an import did, for a person."""
    return f"{counts['added']} added, {counts['changed']} changed, {counts['same']} as they were."


class _Import:
    """One zip on its way in."""

    def __init__(self, archive: zipfile.ZipFile):
        self.archive = archive
        self.parts = self._parts()
        self.saved: list = []
        self.counts: Counter = Counter(added=0, changed=0, same=0)

    def _parts(self) -> dict[str, zipfile.ZipInfo]:
        parts: dict[str, zipfile.ZipInfo] = {}
        listed = [part for part in self.archive.infolist() if not part.is_dir()]
        if len(listed) > MAX_FILES:
            raise CatalogueRefused(f"The zip holds {len(listed)} files; at most {MAX_FILES} are taken.")
        for part in listed:
            if part.filename in parts:
                raise CatalogueRefused(f"{part.filename!r} is in the zip twice.")
            if part.flag_bits & 1:
                raise CatalogueRefused(f"{part.filename!r} is encrypted.")
            if part.filename != INDEX and not NAME.fullmatch(part.filename):
                raise CatalogueRefused(f"{part.filename!r} is no name that a picture of a catalogue has.")
            limit = MAX_INDEX_MB if part.filename == INDEX else settings.MAX_UPLOAD_MB
            if part.file_size > limit * 2**20:
                raise CatalogueRefused(f"{part.filename!r} is larger than {limit} MB.")
            parts[part.filename] = part
        if sum(part.file_size for part in listed) > MAX_TOTAL_MB * 2**20:
            raise CatalogueRefused(f"The zip holds more than {MAX_TOTAL_MB} MB.")
        if INDEX not in parts:
            raise CatalogueRefused(f"The zip has no {INDEX}.")
        return parts

    def _content(self, name: str) -> bytes:
        """A part's bytes; never more than the zip's directory says, which was checked."""
        part = self.parts[name]
        with self.archive.open(part) as file:
            content = file.read(part.file_size + 1)
        if len(content) != part.file_size:
            raise CatalogueRefused(f"{name!r} is not as large as the zip says.")
        return content

    def _index(self) -> dict:
        try:
            index = json.loads(self._content(INDEX))
        except (ValueError, RecursionError) as error:
            raise CatalogueRefused(f"{INDEX} is no JSON: {error}") from error
        if not isinstance(index, dict) or (index.get("format"), index.get("version")) != (FORMAT, VERSION):
            raise CatalogueRefused(f"{INDEX} doesn't say that it is {FORMAT!r}, version {VERSION}.")
        return index

    def run(self) -> Counter:
        index = self._index()
        try:
            with transaction.atomic():
                for place in _list(index, "places"):
                    self._place(place)
                for action in _list(index, "actions"):
                    self._action(action)
        except BaseException:
            for field_file in self.saved:  # their rows were rolled back
                with suppress(OSError):
                    field_file.storage.delete(field_file.name)
            raise
        return self.counts

    def _place(self, entry: dict) -> None:
        poi = self._row(Poi, {"name": _text(entry, "name")}, {}, {})
        for image in _list(entry, "images"):
            key = {"poi": poi, "name": _text(image, "name")}
            values = {"description": _text(image, "description")}
            self._row(PoiImage, key, values, {"image": _text(image, "image")})

    def _action(self, entry: dict) -> None:
        values = {"description": _text(entry, "description")}
        action = self._row(Action, {"name": _text(entry, "name")}, values, {})
        for shot in _list(entry, "shots"):
            key = {"action": action, "shot_type": _text(shot, "shot_type")}
            self._row(
                ActionImage,
                key,
                {"kind": _text(shot, "kind")},
                {field: _text(shot, field) for field in SHOT_FILES},
            )

    def _row(self, model, key: dict, values: dict, files: dict[str, str]):
        """The row of ``key``, made or updated; its files are written only where their bytes differ."""
        row = model.objects.filter(**key).first() or model(**key)
        is_new, changed = row.pk is None, False
        for field, value in values.items():
            changed |= getattr(row, field) != value
            setattr(row, field, value)
        for field, name in files.items():
            content = self._picture(name)
            if is_new or not _holds(getattr(row, field), content):
                getattr(row, field).save(name.rpartition("/")[2], ContentFile(content), save=False)
                self.saved.append(getattr(row, field))
                changed = True
        try:
            row.full_clean()
        except ValidationError as error:
            problems = "; ".join(f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
            raise CatalogueRefused(f"{model._meta.verbose_name} {row}: {problems}") from error
        if is_new or changed:
            row.save()
        self.counts["added" if is_new else "changed" if changed else "same"] += 1
        return row

    def _picture(self, name: str) -> bytes:
        if name not in self.parts or name == INDEX:
            raise CatalogueRefused(f"{INDEX} names {name!r}, which isn't in the zip.")
        content = self._content(name)
        try:
            with warnings.catch_warnings(action="ignore"):
                picture = Image.open(io.BytesIO(content), formats=PICTURE_FORMATS)
                if picture.width * picture.height > settings.MAX_PIXELS_MP * 1_000_000:
                    raise Image.DecompressionBombError
                picture.verify()
        except Image.DecompressionBombError as error:
            raise CatalogueRefused(f"{name!r} has more than {settings.MAX_PIXELS_MP} megapixels.") from error
        except Exception as error:  # decoders of hostile files raise whatever they like
            raise CatalogueRefused(f"{name!r} is no JPEG, PNG or WebP picture, or damaged.") from error
        return content


def _holds(field_file, content: bytes) -> bool:
    try:
        with field_file.open("rb") as file:
            return file.read() == content
    except (OSError, ValueError):
        return False


def _list(entry: dict, field: str) -> list[dict]:
    found = entry.get(field)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise CatalogueRefused(f"{INDEX}: {field!r} must be a list of objects.")
    return found


def _text(entry: dict, field: str) -> str:
    found = entry.get(field)
    if not isinstance(found, str) or UNTEXT.search(found):
        raise CatalogueRefused(f"{INDEX}: {field!r} must be a text, not {json.dumps(found)[:60]}.")
    return found
