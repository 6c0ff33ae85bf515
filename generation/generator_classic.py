"""A whole picture in one process: ``python -m generation.generator_classic REQUEST.json``.

To understand how a picture is made, read this module first and then ``steps``. The request file names other
files in its folder: the place's picture, the skeleton, the masks, perhaps a LoRA. The command copies all of
them into a new working folder and calls ``generate`` with this folder.

The job worker calls ``generator`` instead. It makes the same picture, pixel for pixel, with each step in a
process of its own. Here, one process loads the models of all steps, one after the other. After each step it
frees the step's models. But a process returns only a part of its freed memory to the system, so it grows with
each step. For this reason, the worker calls ``generator``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from generation import job_folder, repaint, steps
from generation.generator import run_command
from generation.models import safety
from generation.models.painter import Painter
from generation.models.profiles import ModelProfile, get_profile
from generation.picture.canvas import Canvas
from generation.picture.underpainting import figure_of
from generation.processes.step_process import finish, likeness_of, load_pipeline, painter_of
from generation.record import new_record, public, step_record
from generation.request import GenerationRequest
from generation.vision.visitor import visitor_of

OnEvent = Callable[[dict], None]


def generate(job: Path, on_event: OnEvent | None = None) -> Path:
    """Make the picture that ``request.json`` in folder ``job`` describes. Returns the picture's path.

    ``on_event`` gets ``{"event": "progress", "step", "index", "done", "of"}`` after each denoising step.
    Raises InvalidRequest if the folder's files can't be used, PictureRefused if the safety check says no.
    """
    # The request holds the subject, action, clothes and place; the profile the models and their settings.
    request = GenerationRequest.load(job)
    profile = get_profile(request.profile)
    # The canvas: the place's picture at the models' size, with the action's skeleton and masks fitted in.
    canvas = job_folder.read_canvas(job, request, profile)
    easel = Easel(job, profile, canvas, on_event or (lambda event: None))
    body = easel.paint_body(request)
    if request.lora:
        best = body_with_face = easel.paint_face(body, request)
        asked = request
        # A picture in which the visitor isn't recognised is painted again, with the next seed.
        for _ in range(profile.repaints):
            first = repaint.first_step(body_with_face.likeness)
            if first is None:
                break
            asked = dataclasses.replace(asked, seed=repaint.next_seed(asked.seed))
            body = easel.paint_body(asked) if first == 1 else body
            try:
                body_with_face = easel.paint_face(body, asked)
            except safety.PictureRefused:
                break  # the best of the earlier pictures is kept
            best = min(best, body_with_face, key=lambda one: repaint.badness(one.likeness))
    else:
        best = dataclasses.replace(body, finished=finish(body.picture, job, canvas, request))
    record = new_record(request) | {"steps": best.steps}
    job_folder.write_picture(best.picture, job_folder.picture_path(job, len(best.steps)), record)
    job_folder.write_picture(best.finished, job / job_folder.UNMARKED, record)
    return job / job_folder.UNMARKED


@dataclass(frozen=True)
class Painted:
    """A picture, its steps' public records, what the visitor gets, and how like the photos its face is."""

    picture: Image.Image
    steps: list[dict]
    finished: Image.Image | None = None
    likeness: dict | None = None


class Easel:
    """Paints pictures for one folder, with the models of one profile."""

    def __init__(self, job: Path, profile: ModelProfile, canvas: Canvas, on_event: OnEvent):
        # This imports torch, which takes seconds. A wrong request has been refused before.
        from generation.models.pipelines import PipelineCache

        self.job, self.profile, self.canvas, self.on_event = job, profile, canvas, on_event
        self.cache = PipelineCache(budget_mb=0)  # keeps only the models of the current step

    def paint_body(self, request: GenerationRequest) -> Painted:
        """The picture after four steps: a subject in the skeleton's pose, in the place."""
        records: list[dict] = []
        # 1. pose: paint the subject into the empty place, in the skeleton's pose, over a flat figure.
        with self.painter("pose", 1, request, records) as painter:
            picture = steps.pose(figure_of(request), self.canvas, painter)
        # 2. and 3. detail: inpainting with low strength, inside the subject mask, adds detail.
        for index in (2, 3):
            with self.painter("detail", index, request, records) as painter:
                picture = steps.detail(picture, self.canvas, painter)
        # 4. harmonize: img2img with low strength, over the whole picture: the same grain everywhere.
        with self.painter("harmonize", 4, request, records) as painter:
            picture = steps.harmonize(picture, self.canvas, painter)
        return Painted(picture, records)

    def paint_face(self, body: Painted, request: GenerationRequest) -> Painted:
        """5. face: enlarge the head, repaint it with the visitor's LoRA, and put it back at its own size."""
        records = list(body.steps)
        with self.painter("face", 5, request, records) as painter:
            picture = steps.face(body.picture, self.canvas, visitor_of(request), painter)
        finished = finish(picture, self.job, self.canvas, request)
        seen = likeness_of(finished, self.canvas, request) if request.faces else None
        return Painted(picture, records, finished, seen)

    @contextmanager
    def painter(
        self, name: str, index: int, request: GenerationRequest, records: list[dict]
    ) -> Iterator[Painter]:
        """What paints in step ``index``, called ``name``. At the end, the step's record joins ``records``."""
        from generation.models.pipelines import remove_lora

        pipeline = load_pipeline(name, self.job, request, self.profile, self.cache)
        on_step = reporter(self.on_event, name, index, of=self.profile.performed(name))
        painter = painter_of(name, index, request, self.profile, pipeline, on_step)
        try:
            yield painter
        finally:
            remove_lora(pipeline)
        records.append(public(step_record(name, index, request, self.profile, painter.prompt)))


def reporter(on_event: OnEvent, name: str, index: int, of: int) -> Callable:
    """A callback for diffusers that reports each denoising step to ``on_event``."""

    def on_step(pipeline, number, timestep, tensors) -> dict:
        on_event({"event": "progress", "step": name, "index": index, "done": number + 1, "of": of})
        return {}

    return on_step


if __name__ == "__main__":
    run_command(generate)
