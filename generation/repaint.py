"""A picture in which the visitor isn't recognised is painted again with the next seed; the best one is kept.

The face step measures how near the painted face is to the faces in the visitor's photos. If it is another
person's face, only the face is painted again. If there is no face, the whole picture is painted again. This
happens at most ``profile.repaints`` times. Everything that is needed to continue is in the job's folder: the
seed is in the request, and each earlier picture has a file with the picture and a file with its likeness.

A visitor can also ask for the face alone. That picture begins with the last step, on the kept picture of the
step before it, and never paints the earlier steps.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
from pathlib import Path

from PIL import Image

from generation import job_folder
from generation.models.profiles import ModelProfile
from generation.record import new_record
from generation.request import GenerationRequest, InvalidRequest
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
    """A number to compare pictures by; the best picture has the smallest."""
    return math.inf if likeness is None or likeness["distance"] is None else likeness["distance"]


def reason(likeness: dict) -> str:
    if not likeness["face"]:
        return "no face was found"
    return f"the face isn't the visitor's (distance {likeness['distance']}, at most {SAME_PERSON})"


def next_seed(seed: int) -> int:
    return (seed + 1) % 2**32


# --- in the job's folder ------------------------------------------------------------------------------------


def number(folder: Path, request: GenerationRequest) -> int:
    """How often the picture was begun again. Each time the request's seed rises by 1, and the record of the
    first picture holds the original seed."""
    asked = job_folder.read_record(job_folder.picture_path(folder, 0))["seed"]
    return (request.seed - asked) % 2**32


def due(folder: Path, request: GenerationRequest, profile: ModelProfile) -> int | None:
    """The step from which the finished picture has to be painted again; None if it stays."""
    if number(folder, request) >= profile.repaints:
        return None
    first = first_step(job_folder.read_likeness(folder))
    return first and max(first, request.first)


def begin(folder: Path, request: GenerationRequest, first: int) -> GenerationRequest:
    """Put the picture aside, and ask for another from step ``first`` on.

    If this is interrupted, it can be called again, because it changes the seed last. It moves the picture
    before its likeness. So a picture at the last step's path always has its likeness. A picture that was put
    aside without its likeness is painted once more with the same seed.
    """
    kept = folder / f"try-{number(folder, request)}"
    os.replace(job_folder.picture_path(folder, LAST), kept.with_suffix(".png"))
    os.replace(folder / job_folder.UNMARKED, _unmarked(kept))
    os.replace(job_folder.likeness_path(folder), kept.with_suffix(".json"))
    if first < LAST:
        os.replace(job_folder.picture_path(folder, LAST - 1), _body(folder, number(folder, request)))
    for index in range(LAST - 2, first - 1, -1):  # the newest first: what is left is always whole
        job_folder.picture_path(folder, index).unlink(missing_ok=True)
    again = dataclasses.replace(request, seed=next_seed(request.seed))
    again.save(folder)
    return again


def _body(folder: Path, number: int) -> Path:
    """The picture of the step before the face, put aside when the whole picture was begun again."""
    return folder / f"body-{number}.png"


def _unmarked(kept: Path) -> Path:
    """What the visitor would get of a picture that was put aside."""
    return kept.with_name(f"{kept.stem}-{job_folder.UNMARKED}")


def keep_best(folder: Path) -> None:
    """Make the best of all painted pictures the picture of the last step, and its body the picture of the
    step before the last."""
    painted = [(kept.with_suffix(".png"), kept) for kept in sorted(folder.glob("try-*.json"))]
    last = job_folder.picture_path(folder, LAST)
    if not painted:
        return
    if last.exists():
        painted.append((last, job_folder.likeness_path(folder)))
    best, _ = min(painted, key=lambda one: badness(json.loads(one[1].read_text("utf-8"))))
    if best == last:
        return
    tries = range(int(best.stem.partition("-")[2]), len(painted))
    body = next((_body(folder, n) for n in tries if _body(folder, n).exists()), None)
    if body:
        _copy(body, job_folder.picture_path(folder, LAST - 1))
    _copy(_unmarked(best), folder / job_folder.UNMARKED)
    _copy(best, last)


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all."""
    aside = target.with_suffix(".tmp")
    shutil.copyfile(source, aside)
    os.replace(aside, target)


# --- the face alone -----------------------------------------------------------------------------------------


def begin_with_face(folder: Path, request: GenerationRequest, profile: ModelProfile, body: Path) -> None:
    """Put ``body``, the kept picture of the step before the face, into a new folder. Call this before you
    save the request there: a folder with a request counts as complete. Raises InvalidRequest."""
    canvas = job_folder.read_canvas(folder, request, profile)
    try:
        with Image.open(body) as picture:
            picture.load()
            size = picture.size
    except (OSError, SyntaxError) as error:
        raise InvalidRequest(f"the kept picture can't be read: {error}") from error
    if size != canvas.size:
        raise InvalidRequest("the kept picture has another size than the place's picture has now")
    job_folder.write_picture(canvas.background, job_folder.picture_path(folder, 0), new_record(request))
    os.replace(body, job_folder.picture_path(folder, LAST - 1))
