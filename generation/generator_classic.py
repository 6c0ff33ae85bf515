"""A whole picture in one process: ``python -m generation.generator_classic REQUEST.json``.

Read this to understand how a picture is made, then ``steps``. The command copies the file REQUEST.json, and
the files beside it that it names, into a working folder, which ``generate`` gets.

The job worker calls ``generator`` instead, which makes the same picture, pixel for pixel, with each step in a
process of its own. Here all models pass through one process. Its cache keeps only those that the step at hand
needs, but a process doesn't give all the memory that it has freed back to the system.
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
    """Make the picture that ``request.json`` in folder ``job`` asks for; returns its path.

    ``on_event`` gets ``{"event": "progress", "step", "index", "done", "of"}`` after each denoising step.
    Raises InvalidRequest if the folder's files can't be used, PictureRefused if the safety check says no.
    """
    # Who, doing what, wearing what, where; and the numbers of the model family.
    request = GenerationRequest.load(job)
    profile = get_profile(request.profile)
    # The place's picture at the models' size, and the action's skeleton and masks fitted into it.
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
    """The picture after five steps, or after four without a LoRA; and the prompt of each step by name."""
    from generation.models.pipelines import PipelineCache, apply_lora  # torch: not before the request is read

    cache = PipelineCache(budget_mb=0)  # keeps what the step at hand needs, and no more

    def common(name, index, prompt, pipeline):
        """What every step is called with. Its noise follows from ``index``, its place in the order."""
        noise = step_generator(request.seed, index)
        on_step = reporter(on_event, name, index, of=getattr(profile, name).performed)
        return dict(prompt=prompt.text, pipeline=pipeline, profile=profile, generator=noise, on_step=on_step)

    # 1. The subject, in the skeleton's pose, painted into the empty place.
    pipeline = cache.pipeline("pose", profile)
    prompt = scene_prompt(request, profile.style, token_counter(pipeline.tokenizer))
    picture = steps.pose(
        background=canvas.background,
        skeleton=canvas.skeleton,
        subject_mask=canvas.subject_mask,
        person_mask=canvas.person_mask,
        **common("pose", 1, prompt, pipeline),
    )
    # 2., 3. The subject painted again from weak noise, in the subject mask only: more detail.
    pipeline = cache.pipeline("detail", profile)
    for index in (2, 3):
        arguments = common("detail", index, prompt, pipeline)
        picture = steps.detail(picture=picture, subject_mask=canvas.subject_mask, **arguments)
    # 4. The whole picture from very weak noise: subject and place get the same grain, the place hardly moves.
    pipeline = cache.pipeline("harmonize", profile)
    arguments = common("harmonize", 4, prompt, pipeline)
    picture = steps.harmonize(picture=picture, subject_mask=canvas.subject_mask, **arguments)
    prompts = dict.fromkeys(("pose", "detail", "harmonize"), prompt)
    # 5. The visitor's own face: the head enlarged, repainted with their LoRA, and laid back.
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
    """A callback for diffusers that turns each denoising step into an event."""

    def on_step(pipeline, number, timestep, tensors) -> dict:
        on_event({"event": "progress", "step": name, "index": index, "done": number + 1, "of": of})
        return {}

    return on_step


if __name__ == "__main__":
    run_command(generate)
