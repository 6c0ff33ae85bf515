"""The output of a step's process: messages as JSON lines to stdout, everything else to stderr."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path


def send_message(message: dict) -> None:
    """Write one line to the process's stdout, and flush it."""
    print(json.dumps(message), flush=True, file=sys.__stdout__)


def log_to_stderr() -> None:
    """Send logs, and everything that libraries print, to stderr: stdout is for messages alone."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    sys.stdout = sys.stderr


def written_bytes() -> int:
    """The bytes that this process has written to files and pipes so far; 0 if the kernel doesn't count
    them."""
    try:
        counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0
    return int(counters["wchar"])
