"""The work of a step's process: read the job's folder, paint one step, write its picture.

``python -m generation.steps NAME FOLDER`` starts such a process. ``fork_server`` and ``resident`` call
``attempt`` in processes of theirs. The process writes one JSON object per line on stdout: progress, and at
the end a report. It exits with 0 (done), 1 (failed; the last line on stderr is the reason) or 3 (the safety
check refused the finished picture).

In the report, ``import_seconds`` is the time that the step waited for the libraries. A spawned process
imports them itself. A forked or resident process has imported them before, unless the step was requested too
early. ``load_seconds`` is the rest of the time until the step begins to paint: the fork, loading weights that
were not in memory yet, and the LoRA.
"""

from __future__ import annotations

import logging
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from generation import job_folder, prompts, record, repaint, steps
from generation.models import safety
from generation.models.painter import Painter
from generation.models.profiles import ModelProfile, get_profile
from generation.models.vae import predicted_picture
from generation.picture.canvas import Canvas, fitted
from generation.picture.compositing import lay_over
from generation.picture.enlarging import close_up_of
from generation.picture.finishing import in_photograph
from generation.picture.underpainting import figure_of
from generation.processes import lifeline
from generation.processes.streams import log_to_stderr, send_message, written_bytes
from generation.request import GenerationRequest, InvalidRequest
from generation.seeds import step_generator
from generation.step_table import STEPS, planned
from generation.vision import detectors_of, likeness
from generation.vision.visitor import visitor_of

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from generation.models.pipelines import PipelineCache

PREVIEWS = (0.25, 0.5)  # shares of the first step's denoising after which a preview is written
log = logging.getLogger(__name__)


def run(name: str, job: Path, requested_at: float, cache: PipelineCache | None = None) -> None:
    """Paint step ``name`` on the newest picture of folder ``job``.

    ``requested_at``: the time of the request, from ``time.monotonic()``. ``cache`` may hold parts of the
    step's pipeline already. Raises InvalidRequest if another step comes next.
    """
    written_before = written_bytes()
    request = GenerationRequest.load(job)
    profile = get_profile(request.profile)
    canvas = job_folder.read_canvas(job, request, profile)
    if job_folder.newest_index(job) is None:
        first = job_folder.picture_path(job, 0)
        job_folder.write_picture(canvas.background, first, record.new_record(request))
    index = _due_index(name, job, request)
    before = job_folder.read_step_picture(job, index - 1)

    # These import torch and diffusers. The time for this import is measured separately.
    from generation.models import hardware, pipelines

    hardware.use_cores()
    pipeline = load_pipeline(name, job, request, profile, cache or pipelines.PipelineCache())
    imported, loaded = max(requested_at, pipelines.IMPORTED_AT), time.monotonic()

    on_step = progress_reporter(name, index, job, canvas, profile)
    painter = painter_of(name, index, request, profile, pipeline, on_step)
    picture = paint(name, before, canvas, request, painter)
    is_last = index == len(planned(with_lora=bool(request.lora)))
    finished = finish(picture, job, canvas, request) if is_last else None
    painted = time.monotonic()

    own = record.step_record(name, index, request, profile, painter.prompt)
    if name == "face" and request.faces:
        own["likeness"] = likeness_of(finished, canvas, request)
        job_folder.write_likeness(job, own["likeness"])
    if again := repaint.number(job, request):
        own["again"] = again
    told = job_folder.read_record(job_folder.picture_path(job, index - 1))
    told["steps"].append(record.public(own))
    if is_last:
        job_folder.write_picture(finished, job / job_folder.UNMARKED, told)
    job_folder.write_picture(picture, job_folder.picture_path(job, index), told)
    (job / job_folder.PREVIEW).unlink(missing_ok=True)
    seconds = {
        "import_seconds": round(imported - requested_at, 3),
        "load_seconds": round(loaded - imported, 3),
        "inference_seconds": round(painted - loaded, 3),
    }
    send_message(own | {"pid": os.getpid()} | seconds | _resources(written_before))


def progress_reporter(name: str, index: int, job: Path, canvas: Canvas, profile: ModelProfile) -> Callable:
    """A callback for diffusers: it reports each denoising step, and in the first step it writes previews."""
    of = profile.performed(name)
    with_preview = {math.ceil(share * of) for share in PREVIEWS} if index == 1 else ()

    def on_step(pipeline: DiffusionPipeline, number: int, timestep, tensors) -> dict:
        done = number + 1
        send_message({"step": name, "index": index, "done": done, "of": of})
        if done in with_preview:
            write_preview(pipeline, canvas, profile, job)
        return {}

    return on_step


def _due_index(name: str, job: Path, request: GenerationRequest) -> int:
    plan, index = planned(with_lora=bool(request.lora)), job_folder.newest_index(job) + 1
    due = plan[index - 1] if index <= len(plan) else "none: the picture is finished"
    if due != name:
        raise InvalidRequest(f"step {name} is not due in {job.name}; the next step is {due}")
    return index


def load_pipeline(
    name: str, job: Path, request: GenerationRequest, profile: ModelProfile, cache: PipelineCache
) -> DiffusionPipeline:
    """The step's pipeline on its device, with the visitor's LoRA where the profile wants it."""
    from generation.models import pipelines  # torch: its import is counted apart, in ``run``

    pipeline = cache.pipeline(name, profile)
    scale = profile.lora_scale(name, request.lora_scale)
    if request.lora and (scale or STEPS[name].needs_lora):
        pipelines.apply_lora(pipeline, job / request.lora, scale)
    return pipeline


def prompt_of(
    name: str, request: GenerationRequest, profile: ModelProfile, pipeline: DiffusionPipeline
) -> prompts.Prompt:
    """The step's prompt, as long as the pipeline's text encoder can read."""
    count = prompts.token_counter(pipeline.tokenizer)
    if name == "face":
        return prompts.face_prompt(request, profile.style, count)
    return prompts.scene_prompt(request, profile.style, count, named=profile.body_lora > 0)


def painter_of(
    name: str,
    index: int,
    request: GenerationRequest,
    profile: ModelProfile,
    pipeline: DiffusionPipeline,
    on_step: Callable,
) -> Painter:
    """The painter of step ``index``, called ``name``. The noise's seed is derived from ``index``."""
    prompt, noise = prompt_of(name, request, profile, pipeline), step_generator(request.seed, index)
    return Painter(pipeline, prompt, profile, noise, on_step)


def paint(
    name: str, picture: Image.Image, canvas: Canvas, request: GenerationRequest, painter: Painter
) -> Image.Image:
    """The picture after step ``name``. ``picture`` is the one before it.

    The calls must be those of ``generator_classic.Easel``.
    """
    if name == "pose":
        return steps.pose(figure_of(request), canvas, painter)
    if name == "face":
        return steps.face(picture, canvas, visitor_of(request), painter)
    return {"detail": steps.detail, "harmonize": steps.harmonize}[name](picture, canvas, painter)


def finish(painted: Image.Image, job: Path, canvas: Canvas, request: GenerationRequest) -> Image.Image:
    """The picture that the visitor gets, made of the last step's. Raises PictureRefused if it may not be
    shown."""
    profile = get_profile(request.profile)
    place = job_folder.read_picture(job, request, "background") if profile.full_size else canvas.background
    finished = in_photograph(painted, place, canvas, visitor_of(request), profile)
    safety.check(finished, profile)
    return finished


def likeness_of(finished: Image.Image, canvas: Canvas, request: GenerationRequest) -> dict:
    """How like the visitor's photos the finished picture's face is: see ``likeness.measure``."""
    shown, see = fitted(finished, canvas.size), detectors_of(get_profile(request.profile))
    return likeness.measure(shown, canvas.face_mask, request.faces, see)


def write_preview(pipeline: DiffusionPipeline, canvas: Canvas, profile: ModelProfile, job: Path) -> None:
    """Write an unfinished picture of the first step. If that fails, the step goes on without a preview."""
    try:
        unfinished = predicted_picture(pipeline)
        unfinished = close_up_of(canvas.subject_mask, profile).put_back(unfinished, canvas.background)
        seen = lay_over(unfinished, canvas.background, canvas.subject_mask, profile.feather)
        job_folder.write_preview(seen, job)
    except Exception:
        log.warning("no preview", exc_info=True)


def _resources(written_before: int) -> dict[str, float]:
    """Peak memory in MiB, and MiB written since ``written_before``."""
    import torch

    on_gpu = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return {
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        "peak_gpu_mb": round(on_gpu, 1),
        "written_mb": round((written_bytes() - written_before) / 2**20, 3),
    }


def attempt(name: str, job: Path, requested_at: float, cache: PipelineCache | None = None) -> int:
    """Call ``run``. Returns the process's exit status; after a failure, the last line on stderr is the
    reason."""
    try:
        run(name, job, requested_at, cache)
    except safety.PictureRefused as error:
        print(error, file=sys.stderr, flush=True)
        return safety.REFUSED
    except Exception as error:
        log.debug("step failed", exc_info=True)
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"{type(error).__name__}: {reason}", file=sys.stderr, flush=True)
        return 1
    return 0


def main() -> None:
    requested_at = time.monotonic()
    lifeline.die_with_parent()
    log_to_stderr()
    if len(sys.argv) != 3 or sys.argv[1] not in STEPS:
        sys.exit(f"usage: python -m generation.steps {'|'.join(STEPS)} FOLDER")
    sys.exit(attempt(sys.argv[1], Path(sys.argv[2]), requested_at))


if __name__ == "__main__":
    main()
