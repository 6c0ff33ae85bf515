"""What the trainer says: progress on stdout, one JSON object per line; everything else on stderr."""

from __future__ import annotations

import json
import math
import os
import resource
import sys
import time

SECONDS_BETWEEN_LINES = 0.5


class TrainingError(Exception):
    """The training can't be done; the text gives the reason in one line."""


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def first_line(error: BaseException) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


class Progress:
    """Reports the steps, at most twice a second, and at the end how much time and memory the run took."""

    def __init__(self, import_started: float) -> None:
        """``import_started``: the value of ``time.monotonic()`` before the libraries were imported."""
        self.imported = time.monotonic()
        self.import_seconds = self.imported - import_started
        self.loss: float | None = None
        self.last_line = -math.inf

    def start(self, done: int, total: int) -> None:
        """The first step begins; a resumed run has ``done`` steps behind it already."""
        self.total, self.started = total, time.monotonic()
        self._write_step(done)

    def step(self, done: int, loss: float) -> None:
        """``loss`` is that step's. The reported loss is a moving average over about 20 steps."""
        self.loss = loss if self.loss is None else 0.95 * self.loss + 0.05 * loss
        if time.monotonic() - self.last_line >= SECONDS_BETWEEN_LINES or done == self.total:
            self._write_step(done)

    def end(self, seed: int, peak_gpu_bytes: int) -> None:
        self._write(
            pid=os.getpid(),
            import_seconds=round(self.import_seconds, 2),
            load_seconds=round(self.started - self.imported, 2),
            train_seconds=round(time.monotonic() - self.started, 2),
            peak_rss_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            peak_gpu_mb=round(peak_gpu_bytes / 2**20),
            seed=seed,
        )

    def _write_step(self, done: int) -> None:
        self.last_line = time.monotonic()
        seconds = round(self.last_line - self.started, 1)
        self._write(done=done, of=self.total, loss=self.loss, seconds=seconds)

    @staticmethod
    def _write(**values) -> None:
        print(json.dumps({"step": "train", **values}), flush=True)
