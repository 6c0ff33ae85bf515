"""What a step's process writes, and how much: messages as JSON lines to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path


def send_message(message: dict) -> None:
    """One line on the process's stdout, at once."""
    print(json.dumps(message), flush=True, file=sys.__stdout__)


def log_to_stderr() -> None:
    """Logs go to stderr, and so does what a library prints: stdout is for messages alone."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    sys.stdout = sys.stderr


def written_bytes() -> int:
    """What this process has written so far, to files and pipes (0 where the kernel doesn't count)."""
    try:
        counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0
    return int(counters["wchar"])
