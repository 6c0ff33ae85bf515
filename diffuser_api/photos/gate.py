"""Pictures from strangers: cleaned and judged in a process of their own, or refused with a reason.

No photo is decoded in this process: ``generation.vision.gate_process`` does it, and ``sentences`` has the
texts. PHOTO_CHECKS decides about a photo with findings: strict refuses it, warn takes it and reports them,
off doesn't look for any. A file that is no proper picture, or the same picture twice, is always refused.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.core.files import File

from diffuser_api.access import throttles
from diffuser_api.operations import disk
from diffuser_api.photos.sentences import sentence
from generation.vision.compare import find_twin, strangers

STRICT, WARN, OFF = PHOTO_CHECKS = ("strict", "warn", "off")
FOLDER_PREFIX = "photos-"  # in TMP_DATA_DIR
SECONDS, SECONDS_EACH = 60, 15  # at least, for five photos, and for each of many; the process allows less
# The variables that the process may see: not the secret key, not the database's address.
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "MODEL_PROFILE")
AT_ONCE = 2  # processes for five photos: two are quicker than one, and each takes 300 MB
MOST_AT_ONCE = max(AT_ONCE, os.cpu_count() or 1)
_at_once = threading.BoundedSemaphore(MOST_AT_ONCE)


class PhotosRefused(Exception):
    """``reasons``: {"index": 1..5, "code", "message"} for each refused photo; index 0 speaks of all."""

    def __init__(self, reasons: list[dict]):
        super().__init__(f"{len(reasons)} reasons")
        self.reasons = reasons


class PictureRefused(Exception):
    """The text says why, and what to do."""


@dataclass
class Seen:
    """One photo after the gate. ``clean``: a JPEG in sRGB, upright, without metadata; None if refused. Of an
    editor's picture: the file as the catalogue stores it."""

    refusals: list[dict] = field(default_factory=list)  # {"code", "values"}
    findings: list[dict] = field(default_factory=list)
    clean: bytes | None = None
    fingerprint: int | None = None
    embedding: list[float] | None = None
    skin: list[float] | None = None  # CIE L*a*b*
    looks: dict[str, str] | None = None  # generation.vision.looks
    seconds: float = 0.0  # of the processor that it took


def clean_photos(files: list, sender: str = "") -> tuple[list[Seen], list[dict]]:
    """Exactly five photos, no two the same; and warnings, in the form of PhotosRefused.reasons.

    ``sender``: the address that the work counts for, if any. Raises PhotosRefused with every reason at once,
    and TooMuchWork.
    """
    if len(files) != 5:
        raise PhotosRefused([_reason(0, "wrong_count", count=len(files))])
    photos = dict(enumerate(_look_at_for(sender, files), start=1))
    refusals, findings = compare(photos)
    if refusals:
        raise PhotosRefused(refusals)
    return list(photos.values()), findings


def compare(photos: dict[int, Seen]) -> tuple[list[dict], list[dict]]:
    """The reasons against these photos by their numbers, in the form of PhotosRefused.reasons: those that
    refuse one, and warnings. Copies of one picture and another person are among them."""
    fingerprints: dict[int, int] = {}
    for number, photo in photos.items():
        if photo.fingerprint is None:
            continue
        if twin := find_twin(photo.fingerprint, fingerprints):
            photo.refusals.append({"code": "duplicate", "values": {"twin": twin}})
        fingerprints[number] = photo.fingerprint
    for number in strangers({n: photo.embedding for n, photo in photos.items() if photo.embedding}):
        photos[number].findings.append({"code": "another_person", "values": {}})

    refusals = _reasons({n: photo.refusals for n, photo in photos.items()})
    findings = _reasons({n: photo.findings for n, photo in photos.items()})
    if settings.PHOTO_CHECKS == STRICT:
        refusals = sorted(refusals + findings, key=lambda reason: reason["index"])
    return refusals, findings


def check_photo(file, sender: str = "") -> tuple[bool, list[dict], Seen]:
    """Whether this photo would be accepted, the findings about it, each {"code", "message"}, and what was
    seen. Raises TooMuchWork."""
    [photo] = _look_at_for(sender, [file])
    accepted = not photo.refusals and (settings.PHOTO_CHECKS != STRICT or not photo.findings)
    reasons = [
        {"code": r["code"], "message": sentence(r["code"], **r["values"])}
        for r in photo.refusals + photo.findings
    ]
    return accepted, reasons, photo


def clean_pictures(files: Sequence[tuple[str, File]], most_mb: int) -> list[bytes | PictureRefused]:
    """An editor's pictures, each with its kind, as the catalogue stores them (``decode.STORED``).

    A file that is refused has a sentence in its place.
    """
    seen = _look_at([file for _, file in files], kinds=[kind for kind, _ in files], most_mb=most_mb)
    return [
        PictureRefused(sentence(picture.refusals[0]["code"], **picture.refusals[0]["values"]))
        if picture.refusals
        else picture.clean
        for picture in seen
    ]


def _reason(index: int, code: str, **values: int) -> dict:
    return {"index": index, "code": code, "message": sentence(code, **values)}


def _reasons(found: dict[int, list[dict]]) -> list[dict]:
    return [_reason(number, r["code"], **r["values"]) for number, reasons in found.items() for r in reasons]


def _look_at_for(sender: str, files: list) -> list[Seen]:
    """The limit counts processor time and not photos, because a small file can be a huge picture."""
    if sender:
        refuse_too_much_work(sender)
    photos = _look_at(files)
    if sender:
        charge(sender, sum(photo.seconds for photo in photos))
    return photos


def refuse_too_much_work(sender: str) -> None:
    """Raises throttles.TooMuchWork while ``sender`` has used up what PHOTO_RATE allows."""
    throttles.refuse_if_used_up(f"photos of {sender}", settings.PHOTO_RATE)


def charge(sender: str, seconds: float) -> None:
    """Add this processor time to what the photos of ``sender`` have used."""
    throttles.charge(f"photos of {sender}", settings.PHOTO_RATE, seconds)


def _look_at(files: list, kinds: Sequence[str] = (), most_mb: int | None = None) -> list[Seen]:
    """Each file through the gate, in order. Those without a kind are photos, judged as PHOTO_CHECKS says."""
    look, most_mb = settings.PHOTO_CHECKS != OFF, most_mb or settings.MAX_UPLOAD_MB
    photos = {number: Seen() for number in range(1, len(files) + 1)}
    with tempfile.TemporaryDirectory(prefix=FOLDER_PREFIX, dir=settings.TMP_DATA_DIR) as name:
        folder, waiting = Path(name), {}
        for number, file in enumerate(files, start=1):
            if file.size == 0:
                photos[number].refusals.append({"code": "empty", "values": {}})
            elif file.size > most_mb * 2**20:
                photos[number].refusals.append({"code": "too_large", "values": {"limit": most_mb}})
            else:
                with (folder / str(number)).open("wb") as target:
                    target.writelines(file.chunks())
                waiting[number] = f"{number}:{kinds[number - 1]}" if kinds else str(number)
        numbers = list(waiting)
        shares = [
            {number: waiting[number] for number in share} for share in (numbers[::2], numbers[1::2]) if share
        ]
        with ThreadPoolExecutor(AT_ONCE) as threads:
            for lines in threads.map(lambda share: _through_gate(folder, share, look), shares):
                for line in lines:
                    _take(line, photos[line["number"]], folder)
    return list(photos.values())


def _through_gate(folder: Path, named: dict[int, str], look: bool) -> list[dict]:
    """The gate process's line for each of these photos. If a photo kills the process, its line says so, and a
    new process looks at the rest.

    ``named``: for each photo's number, the argument that tells the process its number and kind.
    """
    lines, waiting = [], list(named)
    while waiting:
        printed = _run_gate(folder, [named[number] for number in waiting], look)
        lines += printed
        waiting = waiting[len(printed) :]
        if waiting:  # the process died of the next one; the others get another process
            refused = {"code": "too_heavy", "values": {}}
            lines.append({"number": waiting.pop(0), "refused": refused, "seconds": SECONDS_EACH})
    return lines


def _run_gate(folder: Path, numbers: list[str], look: bool) -> list[dict]:
    """The lines that the process printed before it ended, by itself or killed by a photo.

    Raises RuntimeError if the fault was ours, disk.NoRoom if the disk was full.
    """
    arguments = [folder, settings.MAX_PIXELS_MP, "look" if look else "clean", *numbers]
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with _at_once:
        try:
            seconds = max(SECONDS, SECONDS_EACH * len(numbers))
            done = run_module("generation.vision.gate_process", *arguments, seconds=seconds, **one_thread)
        except subprocess.TimeoutExpired as late:
            return _lines(late.stdout or b"")
    if done.returncode > 0:
        if disk.is_full():
            raise disk.NoRoom
        raise RuntimeError(f"the photo gate failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return _lines(done.stdout)


def run_module(
    module: str, *arguments, seconds: float, passed_on: tuple[str, ...] = PASSED_ON, **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run one of our modules in a process of its own, to look at a stranger's file.

    Of our environment variables it gets only those in ``passed_on``. Raises subprocess.TimeoutExpired.
    """
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=settings.BASE_DIR,
        env={name: os.environ[name] for name in passed_on if name in os.environ} | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=seconds,
    )


def _lines(output: bytes) -> list[dict]:
    return [json.loads(line) for line in output.splitlines(keepends=True) if line.endswith(b"\n")]


def _take(line: dict, photo: Seen, folder: Path) -> None:
    photo.seconds = line["seconds"]
    if refused := line.get("refused"):
        photo.refusals.append(refused)
        return
    photo.findings = line["findings"]
    for name in ("fingerprint", "embedding", "skin", "looks"):
        setattr(photo, name, line[name])
    photo.clean = (folder / f"{line['number']}.clean").read_bytes()
