"""The request for one picture, and its JSON file. It names other files, which lie in the job's folder."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REQUEST_FILE = "request.json"
AGES = ("young", "adult", "old")
GENDERS = ("man", "woman")
_FILES = ("background", "skeleton", "subject_mask", "face_mask", "lora")


class InvalidRequest(ValueError):
    """The request can't be used; the text says what is wrong with which field."""


@dataclass(frozen=True)
class GenerationRequest:
    """The request for one picture. ``seed``: 0 to 2**32 - 1. ``lora_scale``: 0 (no effect) to 1 (as trained).

    ``background``, ``skeleton``, ``subject_mask``, ``face_mask`` and ``lora`` are names of files.
    """

    code: str
    profile: str
    seed: int
    background: str
    skeleton: str
    subject_mask: str
    face_mask: str
    age: str
    gender: str
    action_description: str
    other_details: str
    place_description: str
    lora: str | None = None
    lora_code: str | None = None
    lora_scale: float = 1.0
    faces: list[list[float]] | None = None  # embeddings of the visitor's photos
    skin_tone: str = ""  # a word for the visitor's skin, so that neck and hands fit the face
    skin: list[float] = field(default_factory=list)  # its colour, CIE L*a*b*; empty: not known
    looks: dict[str, str] = field(default_factory=dict)  # their hair, beard and glasses: vision.looks
    first: int = 1  # the step with which it begins; the picture of the step before lies in the folder

    def __post_init__(self) -> None:
        if self.age not in AGES:
            raise InvalidRequest(f"age: {self.age!r} is not one of {', '.join(AGES)}")
        if self.gender not in GENDERS:
            raise InvalidRequest(f"gender: {self.gender!r} is not one of {', '.join(GENDERS)}")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 2**32:
            raise InvalidRequest(f"seed: {self.seed!r} is not a whole number from 0 to {2**32 - 1}")

    @property
    def files(self) -> dict[str, str]:
        """The files that the request names: a dictionary from the field to the file's name."""
        return {name: value for name in _FILES if (value := getattr(self, name))}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> GenerationRequest:
        """Raises InvalidRequest for a missing or unknown field."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - set(known))
        optional = {n for n, f in known.items() if {f.default, f.default_factory} != {dataclasses.MISSING}}
        missing = sorted(set(known) - optional - set(values))
        if unknown or missing:
            raise InvalidRequest(f"unknown fields: {unknown or 'none'}; missing fields: {missing or 'none'}")
        return cls(**values)

    @classmethod
    def read(cls, path: Path) -> GenerationRequest:
        """Read a JSON file. Raises InvalidRequest when it isn't JSON of this form."""
        try:
            values = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise InvalidRequest(f"{path}: {error}") from error
        if not isinstance(values, dict):
            raise InvalidRequest(f"{path}: not a JSON object")
        return cls.from_dict(values)

    @classmethod
    def load(cls, folder: Path) -> GenerationRequest:
        return cls.read(Path(folder) / REQUEST_FILE)

    def save(self, folder: Path) -> Path:
        """Write ``folder/request.json``, whole or not at all."""
        path = Path(folder) / REQUEST_FILE
        aside = path.with_suffix(".tmp")
        aside.write_text(json.dumps(dataclasses.asdict(self), indent=1), "utf-8")
        os.replace(aside, path)
        return path
