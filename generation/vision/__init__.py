"""Seeing in pictures: faces, who they are, poses, outlines. Imports no torch and no Django.

    find_faces(picture) -> [Face]              embed_face(picture, face) -> 128 numbers
    read_pose(picture) -> 18 joints or None    person_mask(picture) -> mode L
    read_looks(picture, face) -> words for hair, beard and glasses

Two modules of detectors have these same five functions: ``generation.vision.real_people`` for photographs,
and ``generation.miniature.detectors`` for the drawn people of the miniature. The profile says which are used:

    from generation.vision import detectors
    faces = detectors().find_faces(picture)

From the command line, on a file: ``python -m generation.vision faces PICTURE``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from generation.models.profiles import ModelProfile, get_profile


def detectors(profile: str | None = None) -> ModuleType:
    """The module that sees for the profile of that name, by default the one that MODEL_PROFILE names."""
    return detectors_of(get_profile(profile))


def detectors_of(profile: ModelProfile) -> ModuleType:
    """The module that sees for ``profile``."""
    return importlib.import_module(profile.detectors)
