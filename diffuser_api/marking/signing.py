"""Signs finished pictures, and all files that are made from them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from diffuser_api.marking import keys
from generation.marking import credentials

log = logging.getLogger(__name__)


def sign_finished(path: Path, record: dict, place_hash: str, now) -> None:
    """Sign a finished picture in place. ``record``: the picture's public record, see ``record.public``."""
    _sign(path, credentials.made_manifest(record, place_hash, now), None)


def sign_derived(path: Path, parent: Path, actions: Sequence[str] = ("c2pa.transcoded",)) -> None:
    """Sign a JPEG, PNG or WebP file in place. ``parent`` is the signed picture that it was made from.

    Every file that is made of a finished picture passes here, but for the small ones in the desk's lists.
    Write ``source_type.XMP`` into the file before. ``actions``: what was done, in C2PA's words, such as
    ``c2pa.resized``, ``c2pa.cropped`` or ``c2pa.drawing`` (words and frames laid over it).
    """
    _sign(path, credentials.derived_manifest(actions), parent)


def _sign(path: Path, manifest: dict, parent: Path | None) -> None:
    """Without a time stamp if the service that gives them doesn't answer: the picture is not to blame."""
    import c2pa

    who = keys.identity()
    try:
        credentials.sign(path, path, manifest, who, parent)
    except c2pa.C2paError as error:
        if not who.timestamps:
            raise
        log.warning("no time stamp from %s: %s", who.timestamps, error)
        credentials.sign(path, path, manifest, replace(who, timestamps=""), parent)
