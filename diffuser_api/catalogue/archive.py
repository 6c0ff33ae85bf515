"""Reads the zip file of a catalogue, within limits of size and number, without unpacking it to the disk.

A zip that is hostile, or that is no catalogue, is refused as a whole. If only a part can't be read, only this
part is refused.
"""

from __future__ import annotations

import json
import lzma
import re
import zipfile
import zlib
from typing import IO

from django.conf import settings
from django.utils.translation import gettext

from diffuser_api.catalogue.entrance import STORED_MB

INDEX = "catalogue.json"
FORMAT, VERSION = "cartolina-catalogue", 1
MAX_FILES = 10_000
MAX_DIRECTORY_MB = 8  # the list of files at the zip's end; 10,000 long names fit
MAX_INDEX_MB = 8
MAX_TOTAL_MB = 4096  # of all pictures, unpacked
UNTEXT = re.compile("[\0\ud800-\udfff]")  # characters that no database stores
MOST_POSITIONS = 32767  # as the database's column
NAME = re.compile(r"(?:pois|actions)/[^/\\\0]{1,150}")  # as the storage makes them
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    NotImplementedError,
    EOFError,
    OSError,
    RuntimeError,
)


class CatalogueRefused(Exception):
    """The text says what is wrong with the zip."""


class ItemRefused(Exception):
    """The text says what is wrong with a part of the zip, or of its index; the rest may be good."""


def most_mb() -> int:
    """The largest picture in MB. A stored picture may be larger than MAX_UPLOAD_MB, and its export must be
    importable."""
    return max(settings.MAX_UPLOAD_MB, STORED_MB)


class _Directory:
    """A zip's file while its directory is read. ``zipfile`` reads the directory in one piece, and makes an
    object for each of its entries: a file of 1 GB can have 20 million of them."""

    def __init__(self, file: IO[bytes]):
        self._file, self.seek, self.tell = file, file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if size > MAX_DIRECTORY_MB * 2**20:
            text = gettext("The zip's list of files is larger than {most} MB.")
            raise CatalogueRefused(text.format(most=MAX_DIRECTORY_MB))
        return self._file.read(size)


def opened(source: IO[bytes]) -> zipfile.ZipFile:
    """Raises CatalogueRefused."""
    try:
        zipfile.ZipFile(_Directory(source)).close()
        return zipfile.ZipFile(source)
    except (*BROKEN, ValueError) as error:  # ValueError: a name in letters that are none
        raise CatalogueRefused(
            gettext("This is no zip file that can be read: {reason}").format(reason=error)
        ) from error


class Archive:
    def __init__(self, opened: zipfile.ZipFile):
        self._zip = opened
        self._parts = self._listed()

    def _listed(self) -> dict[str, zipfile.ZipInfo]:
        parts: dict[str, zipfile.ZipInfo] = {}
        listed = [part for part in self._zip.infolist() if not part.is_dir()]
        if len(listed) > MAX_FILES:
            raise CatalogueRefused(
                gettext("The zip holds {count} files; at most {most} are taken.").format(
                    count=len(listed), most=MAX_FILES
                )
            )
        for part in listed:
            if part.filename in parts:
                raise CatalogueRefused(
                    gettext("{name} is in the zip twice.").format(name=repr(part.filename))
                )
            if part.flag_bits & 1:
                raise CatalogueRefused(gettext("{name} is encrypted.").format(name=repr(part.filename)))
            if part.filename != INDEX and not NAME.fullmatch(part.filename):
                raise CatalogueRefused(
                    gettext("{name} is no name that a picture of a catalogue has.").format(
                        name=repr(part.filename)
                    )
                )
            parts[part.filename] = part
        if sum(part.file_size for part in listed) > MAX_TOTAL_MB * 2**20:
            raise CatalogueRefused(gettext("The zip holds more than {most} MB.").format(most=MAX_TOTAL_MB))
        if INDEX not in parts:
            raise CatalogueRefused(gettext("The zip has no {name}.").format(name=INDEX))
        return parts

    def index(self) -> dict:
        try:
            index = json.loads(self._content(INDEX, MAX_INDEX_MB))
        except ItemRefused as refused:
            raise CatalogueRefused(str(refused)) from refused
        except (ValueError, RecursionError) as error:
            raise CatalogueRefused(
                gettext("{name} is no JSON: {reason}").format(name=INDEX, reason=error)
            ) from error
        if not isinstance(index, dict) or (index.get("format"), index.get("version")) != (FORMAT, VERSION):
            raise CatalogueRefused(
                gettext("{name} doesn't say that it is {format}, version {version}.").format(
                    name=INDEX, format=repr(FORMAT), version=VERSION
                )
            )
        return index

    def picture(self, name: str) -> bytes:
        """Raises ItemRefused."""
        if name not in self._parts or name == INDEX:
            raise ItemRefused(
                gettext("{index} names {name}, which isn't in the zip.").format(index=INDEX, name=repr(name))
            )
        return self._content(name, most_mb())

    def _content(self, name: str, limit_mb: int) -> bytes:
        """A part's bytes. It never reads more bytes than the zip's directory says."""
        part = self._parts[name]
        if part.file_size > limit_mb * 2**20:
            raise ItemRefused(
                gettext("{name} is larger than {most} MB.").format(name=repr(name), most=limit_mb)
            )
        try:
            with self._zip.open(part) as file:
                content = file.read(part.file_size + 1)
        except BROKEN as error:
            raise ItemRefused(
                gettext("{name} is damaged in the zip: {reason}").format(name=repr(name), reason=error)
            ) from error
        if len(content) != part.file_size:
            raise ItemRefused(gettext("{name} is not as large as the zip says.").format(name=repr(name)))
        return content


def items(entry: dict, field: str) -> list[dict]:
    """The list ``field`` of the index or of one of its entries. Raises ItemRefused."""
    found = entry.get(field)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise ItemRefused(
            gettext("{index}: {field} must be a list of objects.").format(index=INDEX, field=repr(field))
        )
    return found


def text(entry: dict, field: str) -> str:
    """Raises ItemRefused."""
    found = entry.get(field)
    if not isinstance(found, str) or UNTEXT.search(found):
        raise ItemRefused(
            gettext("{index}: {field} must be a text, not {value}.").format(
                index=INDEX, field=repr(field), value=json.dumps(found)[:60]
            )
        )
    return found


def place_in_order(entry: dict) -> dict[str, int]:
    """The entry's ``position``; empty without one, so that an import changes none. Raises ItemRefused."""
    if "position" not in entry:
        return {}
    found = entry["position"]
    if type(found) is not int or not 0 <= found <= MOST_POSITIONS:
        raise ItemRefused(
            gettext("{index}: {field} must be a whole number from 0 to {most}, not {value}.").format(
                index=INDEX, field="'position'", most=MOST_POSITIONS, value=json.dumps(found)[:60]
            )
        )
    return {"position": found}


def translations(entry: dict, fields: tuple[str, ...]) -> dict[str, dict]:
    """The entry's ``translations``, by the name of their field; empty without any, so that an import changes
    none. Raises ItemRefused."""
    found = entry.get("translations", {})
    if not isinstance(found, dict) or not all(isinstance(texts, dict) for texts in found.values()):
        raise ItemRefused(
            gettext("{index}: {field} must be an object of objects.").format(
                index=INDEX, field="'translations'"
            )
        )
    kept = {
        code: {field: text(texts, field) for field in fields if field in texts}
        for code, texts in found.items()
    }
    return {"translations": kept} if kept else {}
