"""Imports the catalogue from a zip file (``export`` writes it). docs/catalogue.md describes the format.

An image of a place, or a shot of an action, is imported whole or not at all. The result names each one that
was left out. Pictures and rows pass the same checks as in the admin.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO

from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import transaction
from django.db.models import Model
from django.utils.translation import gettext

from diffuser_api.catalogue import archive, entrance
from diffuser_api.catalogue.archive import (
    Archive,
    CatalogueRefused,
    ItemRefused,
    items,
    place_in_order,
    text,
    translations,
)
from diffuser_api.catalogue.export import SHOT_FILES, write
from diffuser_api.models import Action, ActionImage, Poi, PoiImage

__all__ = ["CatalogueRefused", "Imported", "read", "write"]
AT_ONCE = 8  # places or actions whose pictures are in memory, and are checked, at the same time


@dataclass
class Imported:
    """How many rows were added, changed or the same already, and a sentence for each item that was left
    out."""

    added: int = 0
    changed: int = 0
    same: int = 0
    left_out: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = gettext("{added} added, {changed} changed, {same} as they were.")
        return text.format(added=self.added, changed=self.changed, same=self.same)

    @property
    def nothing(self) -> bool:
        """Whether everything in the zip was left out."""
        return bool(self.left_out) and not (self.added or self.changed or self.same)


@dataclass
class _Item:
    """A place's image or an action's shot on its way in."""

    label: str
    key: dict[str, str]
    values: dict[str, str]
    files: dict[str, str]  # the fields' names in the zip
    contents: dict[str, bytes] = field(default_factory=dict)
    refused: str = ""


@dataclass
class _Group:
    """A place with its images, or an action with its shots."""

    model: type[Model]
    name: str
    values: dict[str, str]
    items: list[_Item]


def read(source: IO[bytes]) -> Imported:
    """Add and update the rows that the zip holds. Deletes nothing.

    Raises CatalogueRefused if the zip as a whole can't be read. Then nothing was imported.
    """
    with archive.opened(source) as opened:
        return _Import(Archive(opened)).run()


class _Import:
    """One zip on its way in."""

    def __init__(self, opened: Archive):
        self.archive = opened
        self.done = Imported()
        self.written: list = []

    def run(self) -> Imported:
        index = self.archive.index()
        try:
            found = [(_place, Poi._meta.verbose_name, entry) for entry in items(index, "places")]
            found += [(_action, Action._meta.verbose_name, entry) for entry in items(index, "actions")]
        except ItemRefused as refused:
            raise CatalogueRefused(str(refused)) from refused
        groups = []
        for number, (parse, called, entry) in enumerate(found, start=1):
            try:
                groups.append(parse(entry))
            except ItemRefused as refused:
                entry = gettext("Entry {number} ({kind})").format(number=number, kind=called)
                self.done.left_out.append(f"{entry}: {refused}")
        for start in range(0, len(groups), AT_ONCE):
            some = groups[start : start + AT_ONCE]
            try:
                self._take([item for group in some for item in group.items])
                for group in some:
                    self._save(group)
            except OSError as error:  # the disk is full, as a rule: what is here already stays
                names = ", ".join(group.name for group in groups[start:])
                stopped = gettext("The import stopped at one of these: {names}.").format(names=names)
                self.done.left_out.append(f"{stopped} {error}")
                break
        return self.done

    # --- pictures -------------------------------------------------------------------------------------------

    def _take(self, batch: Sequence[_Item]) -> None:
        """Send all files of the items through the entrance."""
        for item in batch:
            try:
                item.contents = {name: self.archive.picture(file) for name, file in item.files.items()}
            except ItemRefused as refused:
                item.refused = str(refused)
        wanted = [(item, name, content) for item in batch for name, content in item.contents.items()]
        files = [
            (entrance.kind_of(name, item.values.get("kind") == "skeleton"), ContentFile(content))
            for item, name, content in wanted
        ]
        for (item, name, _), taken in zip(wanted, entrance.taken(files, archive.most_mb()), strict=True):
            if isinstance(taken, entrance.PictureRefused):
                item.refused = item.refused or f"{item.files[name]!r}: {taken}"
            else:
                item.contents[name] = taken
        for item in batch:
            if not item.refused and "skeleton" in item.files:
                size = entrance.size_of(item.contents["image"])
                for name in entrance.FITTED:
                    item.contents[name] = entrance.fitted(item.contents[name], size)

    # --- rows -----------------------------------------------------------------------------------------------

    def _save(self, group: _Group) -> None:
        """Save the group's row and the rows of its accepted items."""
        before, files = (self.done.added, self.done.changed, self.done.same), len(self.written)
        try:
            with transaction.atomic():
                parent, is_new = self._row(group.model, {"name": group.name}, group.values)
                saved = [self._save_item(parent, item) for item in group.items]
                if is_new and saved and not any(saved):
                    raise _Nothing
        except _Nothing:  # its items are listed
            self.done.added, self.done.changed, self.done.same = before
        except ItemRefused as refused:
            self.done.left_out.append(f"{group.name}: {refused}")
        except BaseException:
            self._delete_since(files)
            raise

    def _save_item(self, parent: Poi | Action, item: _Item) -> bool:
        model, owner = (PoiImage, "poi") if isinstance(parent, Poi) else (ActionImage, "action")
        files = len(self.written)
        try:
            if item.refused:
                raise ItemRefused(item.refused)
            self._row(model, {owner: parent, **item.key}, item.values, item)
        except ItemRefused as refused:
            self._delete_since(files)
            self.done.left_out.append(f"{parent}, {item.label}: {refused}")
            return False
        return True

    def _delete_since(self, count: int) -> None:
        """Delete the files that were written after the first ``count``. The database's rollback deletes no
        files."""
        for field_file in self.written[count:]:
            with suppress(OSError):
                field_file.storage.delete(field_file.name)
        del self.written[count:]

    def _row(self, model, key: dict, values: dict, item: _Item | None = None):
        """Make or update the row of ``key``. Returns the row, and whether it is new. A file is written only
        if its bytes differ from the stored ones. Raises ItemRefused."""
        row = model.objects.filter(**key).first() or model(**key)
        is_new, changed = row.pk is None, False
        for name, value in values.items():
            changed |= getattr(row, name) != model._meta.get_field(name).to_python(value)
            setattr(row, name, value)
        for name, content in item.contents.items() if item else ():
            if is_new or not _holds(getattr(row, name), content):
                file = entrance.as_file(content, item.files[name])
                getattr(row, name).save(file.name, file, save=False)
                self.written.append(getattr(row, name))
                changed = True
        try:
            row.full_clean()
        except ValidationError as error:
            problems = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
            raise ItemRefused(problems) from error
        if is_new or changed:
            row.save()
        self._count(is_new, changed)
        return row, is_new

    def _count(self, is_new: bool, is_changed: bool) -> None:
        counted = "added" if is_new else "changed" if is_changed else "same"
        setattr(self.done, counted, getattr(self.done, counted) + 1)


class _Nothing(Exception):
    """All items of a new place or action were refused."""


def _place(entry: dict) -> _Group:
    def image(found: dict) -> _Item:
        name = text(found, "name")
        values = {"description": text(found, "description"), **translations(found, PoiImage.TRANSLATED)}
        values |= place_in_order(found)
        return _Item(name, {"name": name}, values, {"image": text(found, "image")})

    values = translations(entry, Poi.TRANSLATED)
    return _Group(Poi, text(entry, "name"), values, _items(entry, "images", image))


def _action(entry: dict) -> _Group:
    def shot(found: dict) -> _Item:
        shot_type, files = text(found, "shot_type"), {name: text(found, name) for name in SHOT_FILES}
        return _Item(shot_type, {"shot_type": shot_type}, {"kind": text(found, "kind")}, files)

    values = {"description": text(entry, "description"), **translations(entry, Action.TRANSLATED)}
    return _Group(Action, text(entry, "name"), values, _items(entry, "shots", shot))


def _items(entry: dict, listed: str, make) -> list[_Item]:
    """The items of an entry of the index. An item that the index describes wrongly is marked as refused."""
    made = []
    for number, found in enumerate(items(entry, listed), start=1):
        try:
            made.append(make(found))
        except ItemRefused as refused:
            label = gettext("number {number}").format(number=number)
            made.append(_Item(label, {}, {}, {}, refused=str(refused)))
    return made


def _holds(field_file, content: bytes) -> bool:
    try:
        with field_file.open("rb") as file:
            return file.read() == content
    except (OSError, ValueError):
        return False
