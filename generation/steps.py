"""The five steps, functions from picture to picture; ``python -m generation.steps NAME FOLDER`` runs one.

The process reads the folder's request and newest picture, leaves its own picture there, prints one JSON
object per line on stdout (progress, and at the end what it took) and logs to stderr. It exits 0, or with a
one-line reason as the last line on stderr 1, or 3 if the safety check refused the finished picture.
``attempt`` is that process's whole work, wherever it comes from (see ``isolation``).

What a step took: ``import_seconds`` is its wait for the libraries: its own import when it was spawned; else
0, or what was missing until the process that it was forked from, or that does it, had imported them.
``load_seconds`` is all else until it begins to paint: weights that were not in memory, the fork, the LoRA.
"""

from __future__ import annotations

import json
import logging
import math
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageChops

from generation import job_folder, prompts
from generation.models import safety
from generation.models.profiles import ModelProfile, ModelRef, StepSettings
from generation.picture import canvas
from generation.processes import lifeline
from generation.vision import detectors, likeness

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

    from generation.models.pipelines import Shelf

Look = Callable[[], Image.Image]  # makes the picture as far as it is
Progress = Callable[
    [int, int, Look], None
]  # called with denoising steps done, how many there are, and a look
PREVIEWS = (
    0.25,
    0.5,
)  # of the first step: shares of its denoising steps, after which there is something to see
log = logging.getLogger(__name__)


# --- the five steps -----------------------------------------------------------------------------------------


def pose(
    picture: Image.Image, inputs: job_folder.Inputs, pipeline, noise: torch.Generator, report: Progress
) -> Image.Image:
    """Paint the subject, in the skeleton's pose, into the subject mask of the background."""
    settings = inputs.profile.pose
    painted = pipeline(
        **_words(inputs, pipeline),
        image=picture,
        mask_image=inputs.subject_mask,
        control_image=inputs.skeleton,
        controlnet_conditioning_scale=1.0,
        strength=settings.strength,
        **_common(picture, settings, noise, report),
    ).images[0]
    painted = canvas.lay_over(painted, picture, inputs.subject_mask, inputs.profile.feather)
    return _on_the_place(painted, inputs, inputs.subject_mask)


def detail(
    picture: Image.Image, inputs: job_folder.Inputs, pipeline, noise: torch.Generator, report: Progress
) -> Image.Image:
    """Paint the subject mask's inside once more, from a noise weak enough to keep what is there."""
    settings = inputs.profile.detail
    painted = pipeline(
        **_words(inputs, pipeline),
        image=picture,
        mask_image=inputs.subject_mask,
        strength=settings.strength,
        **_common(picture, settings, noise, report),
    ).images[0]
    painted = _change(picture, painted, inputs, pipeline)
    return canvas.lay_over(painted, picture, inputs.subject_mask, inputs.profile.feather)


def harmonize(
    picture: Image.Image, inputs: job_folder.Inputs, pipeline, noise: torch.Generator, report: Progress
) -> Image.Image:
    """Even out the whole picture's quality; the place itself may move by ``harmonize_limit`` at most."""
    settings = inputs.profile.harmonize
    common = _common(picture, settings, noise, report)
    del common["height"], common["width"]  # img2img takes them from the picture
    painted = pipeline(
        **_words(inputs, pipeline), image=picture, strength=settings.strength, **common
    ).images[0]
    painted = _change(picture, painted, inputs, pipeline)
    place = canvas.bounded(painted, picture, inputs.profile.harmonize_limit)
    return canvas.lay_over(painted, place, inputs.subject_mask, inputs.profile.feather)


def face(
    picture: Image.Image, inputs: job_folder.Inputs, pipeline, noise: torch.Generator, report: Progress
) -> Image.Image:
    """Paint the visitor's face into the face mask: the crop around it, enlarged to the face resolution.

    Of ``face_candidates``, painted in one batch with noise of their own, the nearest to the visitor's photos
    is kept; without photos to compare with, one is painted. Then its skin is moved towards the neck's.
    """
    settings, side = inputs.profile.face, inputs.profile.face_resolution
    count = inputs.profile.face_candidates if inputs.request.faces else 1
    common = _common(picture, settings, noise, report) | {"height": side, "width": side}
    painted = pipeline(
        **_words(inputs, pipeline, prompts.face_prompt),
        image=picture,
        mask_image=inputs.face_mask,
        strength=settings.strength,
        padding_mask_crop=inputs.profile.face_padding,
        num_images_per_prompt=count,
        **common | {"generator": _noises(noise, count)},
    ).images
    candidates = [
        _on_the_place(
            canvas.lay_over(one.convert("RGB"), picture, inputs.face_mask, inputs.profile.feather),
            inputs,
            inputs.face_mask,
        )
        for one in painted
    ]
    kept = candidates[0] if count == 1 else min(candidates, key=lambda one: _distance(one, inputs))
    return _fit_to_neck(kept, inputs)


STEPS = {"pose": pose, "detail": detail, "harmonize": harmonize, "face": face}


# --- what they share ----------------------------------------------------------------------------------------


def _words(inputs: job_folder.Inputs, pipeline, build=prompts.scene_prompt) -> dict[str, str]:
    def count_tokens(text: str) -> int:
        return len(pipeline.tokenizer(text, truncation=False, verbose=False).input_ids)

    style = inputs.profile.style
    return {"prompt": build(inputs.request, style, count_tokens), "negative_prompt": style.negative}


def _common(picture: Image.Image, settings: StepSettings, noise, report: Progress) -> dict:
    done, of = 0, max(1, min(settings.steps, int(settings.steps * settings.strength)))

    def on_step_end(pipeline, step, timestep, tensors):
        nonlocal done
        done += 1
        report(done, of, lambda: _picture_so_far(pipeline))
        return {}

    return {
        "num_inference_steps": settings.steps,
        "guidance_scale": settings.guidance,
        "generator": noise,
        "width": picture.width,
        "height": picture.height,
        "callback_on_step_end": on_step_end,
    }


def _on_the_place(painted: Image.Image, inputs: job_folder.Inputs, mask: Image.Image) -> Image.Image:
    """``painted``, inside ``mask`` on the place's own pixels if the profile wants it so."""
    if not inputs.profile.cut_out:
        return painted
    from generation.picture.cut_out import cut_out

    whole = ImageChops.lighter(inputs.subject_mask, inputs.face_mask)
    cut = cut_out(painted, inputs.background, inputs.skeleton, whole)
    return Image.composite(cut, painted, mask)


def _fit_to_neck(painted: Image.Image, inputs: job_folder.Inputs) -> Image.Image:
    if not inputs.profile.face_colour_limit:
        return painted
    from generation.picture.face_colours import fit_to_neck

    see, limit = detectors(inputs.profile.name), inputs.profile.face_colour_limit
    fitted = fit_to_neck(painted, inputs.face_mask, inputs.skeleton, limit, see)
    return canvas.lay_over(fitted, painted, inputs.face_mask, inputs.profile.feather)


def _change(picture: Image.Image, painted: Image.Image, inputs: job_folder.Inputs, pipeline) -> Image.Image:
    """``painted`` without what the VAE alone did; ``picture``'s colours if the profile wants them kept."""
    changed = canvas.add_change(picture, vae_copy(picture, pipeline), painted)
    return canvas.keep_colours(changed, picture, inputs.profile.colours_kept)


def vae_copy(picture: Image.Image, pipeline) -> Image.Image:
    """The picture as the VAE alone gives it back, which is what a step of no strength would paint.

    The VAE blurs a little each time. A step that changes little takes that back (``canvas.add_change``): else
    the picture would lose more to the VAE than the step mends.
    """
    import torch
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents

    vae, processor = pipeline.vae, pipeline.image_processor
    with torch.no_grad():
        pixels = processor.preprocess(picture).to(pipeline._execution_device, vae.dtype)
        latents = retrieve_latents(vae.encode(pixels), sample_mode="argmax")
        return processor.postprocess(vae.decode(latents, return_dict=False)[0], output_type="pil")[0]


def _noises(first: torch.Generator, count: int) -> list[torch.Generator]:
    """``first``, and for each other candidate one that follows from its seed."""
    import torch

    seeds = [first.initial_seed() + 1_000_000 * number for number in range(1, count)]
    return [first, *(torch.Generator("cpu").manual_seed(seed) for seed in seeds)]


def _distance(picture: Image.Image, inputs: job_folder.Inputs) -> float:
    """Of the painted face to the visitor's photos; infinite where no face is seen."""
    distance = _likeness(picture, inputs)["distance"]
    return math.inf if distance is None else distance


def _likeness(picture: Image.Image, inputs: job_folder.Inputs) -> dict:
    return likeness.measure(picture, inputs.face_mask, inputs.request.faces, detectors(inputs.profile.name))


def _picture_so_far(pipeline) -> Image.Image:
    """What the scheduler takes the finished picture to be, from the noise that is left."""
    import torch

    latents = pipeline.scheduler.model_outputs[-1].to(pipeline.vae.dtype)
    with torch.no_grad():
        decoded = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(decoded, output_type="pil")[0]


def models_of(name: str, profile: ModelProfile) -> list[ModelRef]:
    """The models that a step paints with."""
    models = {"pose": [profile.inpaint_model, profile.controlnet_model], "face": [profile.inpaint_model]}
    return models.get(name, [profile.detail_model])


def step_seed(request_seed: int, index: int) -> int:
    """Each step has noise of its own, which follows from the request's seed."""
    return (request_seed + index) % 2**32


def paint(
    name: str, index: int, picture: Image.Image, inputs: job_folder.Inputs, pipeline, report: Progress
) -> Image.Image:
    """Step ``index``, ``name``, with noise from the request's seed."""
    import torch

    noise = torch.Generator("cpu").manual_seed(step_seed(inputs.request.seed, index))
    return STEPS[name](picture, inputs, pipeline, noise, report)


def record_of(name: str, index: int, inputs: job_folder.Inputs, pipeline) -> dict:
    """What a finished step tells about itself, for the picture's text chunk and the job's row."""
    build = prompts.face_prompt if name == "face" else prompts.scene_prompt
    record = {"step": name, "index": index, "seed": step_seed(inputs.request.seed, index)}
    record |= _words(inputs, pipeline, build) | {"models": list(map(str, models_of(name, inputs.profile)))}
    if name == "face":
        record["lora_code"] = inputs.request.lora_code
        record["candidates"] = inputs.profile.face_candidates if inputs.request.faces else 1
    record["versions"] = {package: version(package) for package in ("torch", "diffusers")}
    return record


def load_pipeline(name: str, inputs: job_folder.Inputs, shelf: Shelf | None = None) -> DiffusionPipeline:
    """The step's pipeline, of the shelf's parts if given; the face step's with the visitor's LoRA."""
    from generation.models import pipelines

    pipeline = (shelf or pipelines.Shelf()).pipeline(name, inputs.profile)
    if name == "face" and inputs.lora:
        pipelines.apply_lora(pipeline, inputs.lora, inputs.request.lora_scale)
    return pipeline


# --- one step, as its process does it -----------------------------------------------------------------------


def _say(message: dict) -> None:
    print(json.dumps(message), flush=True, file=sys.__stdout__)


def _peak_gpu_mb() -> float:
    import torch

    return round(torch.cuda.max_memory_allocated() / 2**20, 1) if torch.cuda.is_available() else 0.0


def _written_bytes() -> int:
    """What this process has written so far, to files and pipes (0 where the kernel doesn't count)."""
    try:
        counters = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    except OSError:
        return 0
    return int(counters["wchar"])


def run(name: str, job: Path, asked: float, shelf: Shelf | None = None) -> None:
    """Do step ``name`` on the folder's newest picture.

    ``asked`` (``time.monotonic()``) is when somebody began to wait for it; ``shelf`` may hold parts of its
    pipeline already. Raises InvalidRequest if it isn't the step's turn.
    """
    written_before = _written_bytes()
    job_folder.prepare(job)
    inputs = job_folder.Inputs.read(job)
    index = (job_folder.newest_index(job) or 0) + 1
    plan = job_folder.planned_steps(inputs.request)
    if index > len(plan) or plan[index - 1] != name:
        due = plan[index - 1] if index <= len(plan) else "none: the picture is finished"
        raise job_folder.InvalidRequest(f"step {name} is not due in {job.name}; the next step is {due}")
    from generation.models import hardware, pipelines

    hardware.use_all_cores()
    pipeline = load_pipeline(name, inputs, shelf)
    before = job_folder.picture_path(job, index - 1)
    with Image.open(before) as opened:
        picture = opened.convert("RGB")
    progress = {"step": name, "index": index}
    imported, loaded = max(asked, pipelines.IMPORTED_AT), time.monotonic()

    def report(done: int, of: int, look: Look) -> None:
        _say({**progress, "done": done, "of": of})
        if name == "pose" and done in {math.ceil(share * of) for share in PREVIEWS}:
            keep_preview(look, inputs, job)

    picture = paint(name, index, picture, inputs, pipeline, report)
    painted = time.monotonic()
    if index == len(plan):
        safety.check(picture, inputs.profile)

    record = job_folder.read_record(before)
    own = record_of(name, index, inputs, pipeline)
    if name == "face" and inputs.request.faces:
        own["likeness"] = _likeness(picture, inputs)
    record["steps"].append(own)
    job_folder.write_picture(picture, job_folder.picture_path(job, index), record)
    (job / job_folder.PREVIEW).unlink(missing_ok=True)
    _say(
        own
        | {
            "pid": os.getpid(),
            "import_seconds": round(imported - asked, 3),
            "load_seconds": round(loaded - imported, 3),
            "inference_seconds": round(painted - loaded, 3),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
            "peak_gpu_mb": _peak_gpu_mb(),
            "written_mb": round((_written_bytes() - written_before) / 2**20, 3),
        }
    )


def keep_preview(look: Look, inputs: job_folder.Inputs, job: Path) -> None:
    """Leave what there is to see of the first step; that it can't be seen is no reason to fail."""
    try:
        seen = canvas.lay_over(look(), inputs.background, inputs.subject_mask, inputs.profile.feather)
        job_folder.write_preview(seen, job)
    except Exception:
        log.warning("no preview", exc_info=True)


def attempt(name: str, job: Path, asked: float, shelf: Shelf | None = None) -> int:
    """``run`` for a process that has nobody to raise to: its exit status, the reason on stderr if it is 1."""
    try:
        run(name, job, asked, shelf)
    except safety.PictureRefused as error:
        print(error, file=sys.stderr, flush=True)
        return safety.REFUSED
    except Exception as error:
        log.debug("step failed", exc_info=True)
        reason = " ".join(str(error).split()) or type(error).__name__
        print(f"{type(error).__name__}: {reason}", file=sys.stderr, flush=True)
        return 1
    return 0


def log_to_stderr() -> None:
    """For a process of steps: what a library prints is no message of ours."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    sys.stdout = sys.stderr


def main() -> None:
    asked = time.monotonic()
    lifeline.die_with_parent()
    log_to_stderr()
    if len(sys.argv) != 3 or sys.argv[1] not in STEPS:
        sys.exit(f"usage: python -m generation.steps {'|'.join(STEPS)} FOLDER")
    sys.exit(attempt(sys.argv[1], Path(sys.argv[2]), asked))


if __name__ == "__main__":
    main()
