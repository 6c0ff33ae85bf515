"""Looks at a stranger's picture for marks, in a process that may die of it without harm.

    python -m generation.marking.verify_process PICTURE MEGAPIXELS pixels|metadata CERTIFICATES...

prints one JSON line: the Content Credentials (``credentials.Found``), whether IPTC's word for a picture of a
trained model stands in its metadata, and the seconds that the processor worked. With ``pixels``, the line has
also what ``watermark.read`` sees in the pixels, if the credentials don't say already that the picture is ours
and has at most so many megapixels. Memory and time are limited before the first byte is read.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from pathlib import Path

from PIL import Image

from generation.marking import credentials, watermark
from generation.marking.source_type import SOURCE_TYPE
from generation.vision.gate_process import SECONDS_EACH, limit_process
from generation.vision.opening import as_rgb, load_upright

NO_PICTURE = 4  # exit status: neither PNG nor JPEG nor WebP
MOST = 1600  # pixels on the long side; the watermark is read much smaller
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def main(arguments: list[str]) -> int:
    picture, megapixels, look = Path(arguments[0]), int(arguments[1]), arguments[2] == "pixels"
    certificates = map(Path, arguments[3:])
    limit_process()
    signal.setitimer(signal.ITIMER_PROF, SECONDS_EACH)
    content = picture.read_bytes()
    try:
        with Image.open(picture, formats=tuple(KINDS)) as image:  # its header alone
            kind = KINDS[image.format]
            look &= image.width * image.height <= megapixels * 10**6
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return NO_PICTURE
    found = credentials.read(content, kind, [path.read_bytes() for path in certificates])
    known = found.ours and found.state == credentials.VALID
    said = {"source_type": SOURCE_TYPE.encode() in content, "leanings": []}
    if look and not known:
        said["leanings"] = _read_pixels(picture)
    print(json.dumps(dataclasses.asdict(found) | said | {"seconds": time.process_time()}))
    return 0


def _read_pixels(path: Path) -> list[list[float]]:
    """Nothing of a picture that is broken."""
    try:
        with Image.open(path, formats=tuple(KINDS)) as picture:
            picture.draft("RGB", (MOST, MOST))
            load_upright(picture)
            return list(watermark.read(as_rgb(picture, most=MOST)))
    except (OSError, SyntaxError, ValueError, MemoryError):
        return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
