"""What the training commands share: a log, checkpoints that survive a kill, and a plan that fits the time."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch


def log(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, file=sys.stderr, flush=True)


def save_checkpoint(path: Path, counters: dict, **parts) -> None:
    """Write ``counters`` and the state of each part aside, then rename: a file that exists is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    torch.save({"counters": counters, **{name: part.state_dict() for name, part in parts.items()}}, aside)
    os.replace(aside, path)


def load_checkpoint(path: Path, **parts) -> dict | None:
    """Load what ``save_checkpoint`` wrote into ``parts``; its counters, None where there is no file.

    A part that the file does not hold keeps its state: an optimizer begins anew on carried weights.
    """
    if not path.exists():
        return None
    state = torch.load(path, weights_only=True, map_location="cpu")
    for name, part in parts.items():
        if name in state:
            part.load_state_dict(state[name])
    log(f"going on from {path.name}: {state['counters']}")
    return state["counters"]


@dataclass
class Plan:
    """How long a stage trains: a number of steps, or of seconds. Keeps count of both.

    With ``steps``, what is learned does not depend on the clock, so a broken run ends as an unbroken one.
    With ``seconds``, the share that is done decides how far the learning rate has fallen.
    """

    steps: int | None = None
    seconds: float | None = None
    step: int = 0
    spent: float = 0.0  # seconds, of earlier runs too

    def start(self, counters: dict | None) -> None:
        """From now on the time counts; ``counters`` of a checkpoint go on."""
        if counters:
            self.step, self.spent = counters["step"], counters["spent"]
        self._before, self._started = self.spent, time.monotonic()

    def advance(self) -> None:
        self.step += 1
        self.spent = self._before + time.monotonic() - self._started

    @property
    def share(self) -> float:
        """Of the stage that is done, 0..1."""
        done = self.step / self.steps if self.steps else self.spent / self.seconds
        return min(1.0, done)

    @property
    def finished(self) -> bool:
        return self.share >= 1.0

    @property
    def counters(self) -> dict:
        return {"step": self.step, "spent": self.spent}


def level_then_falling(plan: Plan, top: float, warm_up: int = 200, level: float = 0.5) -> float:
    """The learning rate: a warm-up, level at ``top`` for the share ``level``, then a straight fall to 0.

    A level part leaves open when the training ends; half a cosine would have to know it from the start.
    """
    return top * min(1.0, (plan.step + 1) / warm_up, (1 - plan.share) / (1 - level))
