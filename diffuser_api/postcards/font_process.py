"""Reads an editor's font in a process that may die of it without harm.

    python -m diffuser_api.postcards.font_process FONT

Its exit status is 0 if the font can be embedded, NO_FONT if not. A small file can name billions of letters:
so memory and time are limited before the first byte is read.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from diffuser_api.postcards import fonts
from generation.vision.gate_process import SECONDS_EACH, limit_process

NO_FONT = 4


def main(path: Path) -> int:
    limit_process()
    signal.setitimer(signal.ITIMER_PROF, SECONDS_EACH)
    try:
        fonts.read(path.read_bytes())
    except Exception:  # readers of hostile files raise whatever they like
        return NO_FONT
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
