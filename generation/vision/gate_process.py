"""Opens pictures from strangers and editors, in a process that may die of it without harm.

    python -m generation.vision.gate_process FOLDER MEGAPIXELS clean|look NUMBER...

reads FOLDER/NUMBER, writes the clean photo to FOLDER/NUMBER.clean, and prints one JSON line for each when it
is done with it: {"number", "seconds", "refused"} or {"number", "seconds", "findings", "fingerprint",
"embedding", "skin", "looks"}. The seconds are those that the processor worked for it. With ``clean`` it only
opens and cleans. NUMBER:KIND is a picture of an editor: it becomes what the catalogue stores of this kind
(``decode.STORED``), and isn't looked at. Memory and time are limited here, before the first byte is read. A
signal that ends it is the fault of the photo whose line is missing.
"""

from __future__ import annotations

import dataclasses
import json
import resource
import signal
import sys
import time
from pathlib import Path

import cv2

from generation.vision import decode, detectors, photo_quality, skin

MEMORY_MB = 600  # of data; the shared libraries' code doesn't count
SECONDS_EACH = 10  # of the processor, so that a busy machine refuses nobody
FILE_MB = 64
CLEAN = ".clean"  # the ending of a file that was let through
NOTHING_SEEN = {"findings": [], "fingerprint": None, "embedding": None, "skin": None, "looks": None}


def limit_process() -> None:
    for what, most in (
        (resource.RLIMIT_DATA, MEMORY_MB * 2**20),
        (resource.RLIMIT_FSIZE, FILE_MB * 2**20),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # what the timer below sends; it ends the process


def clean_editors(path: Path, megapixels: int, kind: str) -> dict:
    try:
        path.with_suffix(CLEAN).write_bytes(decode.clean_editors_picture(path, megapixels, kind))
    except decode.PhotoRefused as refused:
        return {"refused": dataclasses.asdict(refused.finding)}
    return NOTHING_SEEN


def look_at(path: Path, megapixels: int, look: bool) -> dict:
    """Everything about one photo that can be said without the others."""
    try:
        picture = decode.clean_photo(path, megapixels)
    except decode.PhotoRefused as refused:
        return {"refused": dataclasses.asdict(refused.finding)}
    picture.save(path.with_suffix(CLEAN), "JPEG", **decode.JPEG_QUALITY)
    seen = NOTHING_SEEN | {"fingerprint": decode.fingerprint(picture)}
    if look:
        findings, face = photo_quality.judge(picture, detectors())
        seen["findings"] = [dataclasses.asdict(finding) for finding in findings]
        if face:
            seen["embedding"] = [round(float(number), 5) for number in detectors().embed_face(picture, face)]
            seen["skin"] = skin.measure(picture, face)
            seen["looks"] = detectors().read_looks(picture, face)
    return seen


def main(arguments: list[str]) -> int:
    folder, megapixels, look = Path(arguments[0]), int(arguments[1]), arguments[2] == "look"
    cv2.setNumThreads(1)
    limit_process()
    before = 0.0  # the start counts for the first picture
    for argument in arguments[3:]:
        number, _, kind = argument.partition(":")
        path = folder / number
        signal.setitimer(signal.ITIMER_PROF, SECONDS_EACH)
        try:
            seen = clean_editors(path, megapixels, kind) if kind else look_at(path, megapixels, look)
        except MemoryError:
            seen = {"refused": {"code": "too_heavy", "values": {}}}
        signal.setitimer(signal.ITIMER_PROF, 0)
        now = time.process_time()
        print(json.dumps({"number": int(number), "seconds": round(now - before, 2), **seen}), flush=True)
        before = now
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
