"""Looks at a stranger's picture for marks, in a process that may die of it without harm.

    python -m generation.marking.verify_process PICTURE CERTIFICATES...

prints one JSON line: the Content Credentials (``credentials.Found``), and whether IPTC's word for a picture
of a trained model stands in its metadata. Memory and time are limited before the first byte is read.
"""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
from pathlib import Path

from PIL import Image

from generation.marking import credentials
from generation.marking.source_type import SOURCE_TYPE
from generation.vision.gate_process import SECONDS_EACH, limit_process

NO_PICTURE = 4  # exit status: neither PNG nor JPEG nor WebP
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}


def main(arguments: list[str]) -> int:
    picture, *certificates = map(Path, arguments)
    limit_process()
    signal.setitimer(signal.ITIMER_PROF, SECONDS_EACH)
    content = picture.read_bytes()
    try:
        with Image.open(picture, formats=tuple(KINDS)) as image:  # its header alone
            kind = KINDS[image.format]
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return NO_PICTURE
    found = credentials.read(content, kind, [path.read_bytes() for path in certificates])
    print(json.dumps(dataclasses.asdict(found) | {"source_type": SOURCE_TYPE.encode() in content}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
