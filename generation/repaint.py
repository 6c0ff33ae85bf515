"""A picture in which the visitor isn't recognised is painted again with the next seed; the best one is kept.

The face's step measures how near its face is to those in the visitor's photos. If it is another person's, the
face is painted again; if there is no face, the whole picture is. That is done ``profile.repaints`` times at
most. Everything needed to go on is in the job's folder: the seed in its request, and for each picture that
was painted before, a file with the picture and one with its likeness.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from pathlib import Path

from generation import job_folder
from generation.models.profiles import ModelProfile
from generation.request import GenerationRequest
from generation.step_table import ORDER
from generation.vision.compare import SAME_PERSON

LAST = len(ORDER)  # the face's step


def first_step(likeness: dict | None) -> int | None:
    """From which step on to paint again; None if the picture is good, or nobody can tell."""
    if likeness is None or (likeness["face"] and likeness["distance"] is None):
        return None
    if not likeness["face"]:
        return 1
    return LAST if likeness["distance"] > SAME_PERSON else None


def badness(likeness: dict | None) -> float:
    """The smaller, the better."""
    return math.inf if likeness is None or likeness["distance"] is None else likeness["distance"]


def reason(likeness: dict) -> str:
    if not likeness["face"]:
        return "no face was found"
    return f"the face isn't the visitor's (distance {likeness['distance']}, at most {SAME_PERSON})"


def next_seed(seed: int) -> int:
    return (seed + 1) % 2**32


# --- in the job's folder ------------------------------------------------------------------------------------


def number(folder: Path, request: GenerationRequest) -> int:
    """How often the picture was begun again: the first one's record holds the seed that was asked for."""
    asked = job_folder.read_record(job_folder.picture_path(folder, 0))["seed"]
    return (request.seed - asked) % 2**32


def due(folder: Path, request: GenerationRequest, profile: ModelProfile) -> int | None:
    """The step from which the finished picture has to be painted again; None if it stays."""
    if number(folder, request) >= profile.repaints:
        return None
    return first_step(job_folder.read_likeness(folder))


def begin(folder: Path, request: GenerationRequest, first: int) -> GenerationRequest:
    """Put the picture aside, and ask for another from step ``first`` on.

    Interrupted at any place, it is begun again: the seed changes last.
    """
    kept = folder / f"try-{number(folder, request)}"
    os.replace(job_folder.likeness_path(folder), kept.with_suffix(".json"))
    os.replace(job_folder.picture_path(folder, LAST), kept.with_suffix(".png"))
    for index in range(LAST - 1, first - 1, -1):  # the newest first: what is left is always whole
        job_folder.picture_path(folder, index).unlink(missing_ok=True)
    again = dataclasses.replace(request, seed=next_seed(request.seed))
    again.save(folder)
    return again


def keep_best(folder: Path) -> None:
    """The best of all that were painted becomes the last step's picture; the first of equals."""
    painted = [(kept.with_suffix(".png"), kept) for kept in sorted(folder.glob("try-*.json"))]
    last = job_folder.picture_path(folder, LAST)
    if not painted:
        return
    if last.exists():
        painted.append((last, job_folder.likeness_path(folder)))
    best, _ = min(painted, key=lambda one: badness(json.loads(one[1].read_text("utf-8"))))
    if best != last:
        aside = last.with_suffix(".tmp")
        shutil.copyfile(best, aside)
        os.replace(aside, last)
