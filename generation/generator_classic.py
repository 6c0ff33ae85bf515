"""A whole picture in one process: ``python -m generation.generator_classic REQUEST.json``.

To understand how a picture is made, read this module first and then ``steps``. The request file names other
files in its folder: the place's picture, the skeleton, the masks, perhaps a LoRA. The command copies all of
them into a new working folder and calls ``generate`` with this folder.

The job worker calls ``generator`` instead. It makes the same picture, pixel for pixel, with each step in a
process of its own. Here, one process loads the models of all steps, one after the other. It frees the models
of a step that is over, but a process returns only a part of its freed memory to the system. So it grows with
each step: that is the reason for ``generator``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PIL import Image

from generation import job_folder, steps
from generation.generator import finish, run_command
from generation.models import safety
from generation.models.profiles import ModelProfile, get_profile
from generation.picture.canvas import Canvas
from generation.prompts import Prompt, face_prompt, scene_prompt, token_counter
from generation.record import new_record, public, step_record
from generation.request import GenerationRequest
from generation.seeds import step_generator
from generation.step_table import planned

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
    picture, prompts = paint(job, request, profile, canvas, on_event or (lambda event: None))
    safety.check(picture, profile)
    names, record = planned(with_lora=bool(request.lora)), new_record(request)
    for index, name in enumerate(names, start=1):
        record["steps"].append(public(step_record(name, index, request, profile, prompts[name])))
    job_folder.write_picture(picture, job_folder.picture_path(job, len(names)), record)
    return finish(job, request, profile, canvas)


def paint(
    job: Path, request: GenerationRequest, profile: ModelProfile, canvas: Canvas, on_event: OnEvent
) -> tuple[Image.Image, dict[str, Prompt]]:
    """The picture after five steps (without a LoRA: four), and each step's prompt by the step's name."""
    # Imports torch, which takes seconds: a wrong request is refused before.
    from generation.models.pipelines import PipelineCache, apply_lora

    cache = PipelineCache(budget_mb=0)  # keeps only the models of the current step

    def common(name, index, prompt, pipeline):
        """The arguments that all steps have in common. ``index`` (from 1) is the step's number in the order:
        the seed of the step's noise is derived from the number."""
        noise = step_generator(request.seed, index)
        on_step = reporter(on_event, name, index, of=getattr(profile, name).performed)
        return dict(prompt=prompt.text, pipeline=pipeline, profile=profile, generator=noise, on_step=on_step)

    # 1. pose: paint the subject into the empty place, in the skeleton's pose.
    pipeline = cache.pipeline("pose", profile)
    prompt = scene_prompt(request, profile.style, token_counter(pipeline.tokenizer))
    picture = steps.pose(
        background=canvas.background,
        skeleton=canvas.skeleton,
        subject_mask=canvas.subject_mask,
        person_mask=canvas.person_mask,
        **common("pose", 1, prompt, pipeline),
    )
    # 2. and 3. detail: inpainting with low strength, inside the subject mask, adds detail to the subject.
    pipeline = cache.pipeline("detail", profile)
    for index in (2, 3):
        arguments = common("detail", index, prompt, pipeline)
        picture = steps.detail(picture=picture, subject_mask=canvas.subject_mask, **arguments)
    # 4. harmonize: img2img with low strength, over the whole picture. Subject and place get the same grain.
    # Outside the subject mask, a pixel may change by profile.harmonize_limit at most.
    pipeline = cache.pipeline("harmonize", profile)
    arguments = common("harmonize", 4, prompt, pipeline)
    picture = steps.harmonize(picture=picture, subject_mask=canvas.subject_mask, **arguments)
    prompts = dict.fromkeys(("pose", "detail", "harmonize"), prompt)
    # 5. face: enlarge the head, repaint it with the visitor's LoRA, and put it back at its own size.
    if request.lora:
        pipeline = cache.pipeline("face", profile)
        apply_lora(pipeline, job / request.lora, request.lora_scale)
        prompts["face"] = face_prompt(request, profile.style, token_counter(pipeline.tokenizer))
        picture = steps.face(
            picture=picture,
            background=canvas.background,
            skeleton=canvas.skeleton,
            face_mask=canvas.face_mask,
            person_mask=canvas.person_mask,
            embeddings=request.faces,
            **common("face", 5, prompts["face"], pipeline),
        )
    return picture, prompts


def reporter(on_event: OnEvent, name: str, index: int, of: int) -> Callable:
    """A callback for diffusers that reports each denoising step to ``on_event``."""

    def on_step(pipeline, number, timestep, tensors) -> dict:
        on_event({"event": "progress", "step": name, "index": index, "done": number + 1, "of": of})
        return {}

    return on_step


if __name__ == "__main__":
    run_command(generate)
