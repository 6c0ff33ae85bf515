"""Times functions while they work, in this process and in a step's, and says whose seconds a picture took.

A stage is a function that is watched. Its own seconds are those that no stage inside it took, so the stages'
own seconds add up to the whole. All processes of a machine read the same clock (``time.monotonic``).
"""

from __future__ import annotations

import functools
import importlib
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from pathlib import Path

WAITING, CHILD = "the worker waits for the step's process", "the step's process is at work"
BEGIN, END = "fork, until the step's process begins", "end of the step's process"
BETWEEN = "code between the stages"


@dataclass(frozen=True)
class Stage:
    """``target``: module:name, as the caller looks it up. ``{0}`` in ``name``: its first argument. ``whole``:
    stages inside it are not told apart. ``first_apart``: a process's first call has a row of its own."""

    target: str
    name: str
    whole: bool = False
    first_apart: bool = False

    def owner_and_attribute(self) -> tuple[object, str]:
        module, _, path = self.target.partition(":")
        *owners, attribute = path.split(".")
        owner = functools.reduce(getattr, owners, importlib.import_module(module))
        getattr(owner, attribute)  # raises AttributeError if the function has another name now
        return owner, attribute


@dataclass(frozen=True)
class Span:
    name: str
    begin: float
    end: float


@dataclass
class Stopwatch:
    """Watches stages, in the main thread only."""

    spans: list[Span] = field(default_factory=list)
    _is_inside_whole: bool = False
    _called: set[str] = field(default_factory=set)

    def watch(self, stages: Iterable[Stage]) -> None:
        for stage in stages:
            owner, attribute = stage.owner_and_attribute()
            setattr(owner, attribute, self._watched(getattr(owner, attribute), stage))

    def _watched(self, function, stage: Stage):
        @functools.wraps(function)
        def watched(*args, **kwargs):
            name = self._name_of(stage, args)
            if self._is_inside_whole or threading.current_thread() is not threading.main_thread():
                return function(*args, **kwargs)
            self._is_inside_whole, begin = stage.whole, now()
            try:
                return function(*args, **kwargs)
            finally:
                self.spans.append(Span(name, begin, now()))
                self._is_inside_whole = False

        return watched

    def _name_of(self, stage: Stage, args: tuple) -> str:
        is_first = stage.first_apart and stage.target not in self._called
        self._called.add(stage.target)
        name = stage.name.format(*args) if "{" in stage.name else stage.name
        return f"{name}, first call" if is_first else name

    def forget(self) -> None:
        self.spans.clear()
        self._called.clear()

    def save(self, folder: Path) -> None:
        text = json.dumps([astuple(span) for span in self.spans])
        Path(folder, f"{time.monotonic_ns()}.json").write_text(text)


def now() -> float:
    """When everything that was given to a GPU is done, too."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.monotonic()


def saved(folder: Path) -> list[Span]:
    return [
        Span(*values) for path in sorted(folder.glob("*.json")) for values in json.loads(path.read_text())
    ]


def together(workers: list[Span], steps: list[Span]) -> list[Span]:
    """The spans of a worker and of its steps' processes, one after the other: while the worker waits for a
    process, that one's alone count. Before and after each process the worker waits for it."""
    waits = [span for span in workers if span.name == WAITING]
    inside = [span for wait in waits for span in workers if wait.begin <= span.begin < wait.end]
    told = [span for span in workers if span not in inside]
    told += [span for span in steps if span.name != CHILD]
    for wait in waits:
        for child in (span for span in steps if span.name == CHILD and wait.begin <= span.begin < wait.end):
            told += [Span(BEGIN, wait.begin, child.begin), Span(END, child.end, wait.end)]
    return told


def own_seconds(spans: list[Span], part_prefix: str) -> Counter[tuple[str, str]]:
    """Seconds by part and stage. A part is a span whose name has this prefix; the stages inside it are its
    own, and those in no part have "". The first span to begin is the whole."""
    seconds: Counter[tuple[str, str]] = Counter()
    open_spans: list[tuple[Span, str, str]] = []  # with its part, and its name in the table
    for span in sorted(spans, key=lambda span: (span.begin, -span.end)):
        while open_spans and open_spans[-1][0].end < span.end:
            open_spans.pop()
        part = open_spans[-1][1] if open_spans else ""
        is_part = span.name.startswith(part_prefix)
        name = BETWEEN if is_part or not open_spans else span.name
        if open_spans:
            _, outer_part, outer_name = open_spans[-1]
            seconds[outer_part, outer_name] -= span.end - span.begin
        part = span.name if is_part else part
        seconds[part, name] += span.end - span.begin
        open_spans.append((span, part, name))
    return seconds
