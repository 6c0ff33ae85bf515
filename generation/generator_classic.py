"""A whole picture in one process: ``python -m generation.generator_classic REQUEST.json``.

Read this to understand how a picture is made, then ``steps``. It makes the same picture as ``generator``,
pixel for pixel, but the models of all steps pass through one process, whose memory grows with each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from generation import job_folder, steps
from generation.generator import finish, run_command
from generation.models import safety
from generation.models.profiles import get_profile
from generation.picture.canvas import fit_canvas
from generation.prompts import face_prompt, scene_prompt, token_counter
from generation.record import new_record, step_record
from generation.request import GenerationRequest
from generation.seeds import step_generator
from generation.step_table import planned


def generate(job: Path, on_event: Callable[[dict], None] | None = None) -> Path:
    """Make the picture that ``request.json`` in folder ``job`` asks for; its path.

    ``on_event`` gets ``{"event": "progress", "step", "index", "done", "of"}`` after each denoising step.
    Raises InvalidRequest when the folder's files can't be used, PictureRefused when the safety check refuses
    the picture.
    """
    # Who, doing what, wearing what, where; and the numbers of the model family.
    request = GenerationRequest.load(job)
    profile = get_profile(request.profile)
    # The place's picture at the models' size, and the action's skeleton and masks fitted into it.
    canvas = fit_canvas(**job_folder.read_pictures(job, request), pixel_budget=profile.pixel_budget)

    picture, prompts = paint(job, request, profile, canvas, on_event or (lambda event: None))

    safety.check(picture, profile)
    record = new_record(request)
    for index, (name, prompt) in enumerate(zip(planned(bool(request.lora)), prompts, strict=True), 1):
        record["steps"].append(step_record(name, index, request, profile, prompt))
    job_folder.write_picture(picture, job_folder.picture_path(job, len(prompts)), record)
    return finish(job, request, profile, canvas)


def paint(job, request, profile, canvas, tell):
    """The five steps; the picture after the last, and the prompt of each."""
    from generation.models.pipelines import PipelineCache, apply_lora  # torch: not before the request is read

    cache = PipelineCache(budget_mb=0)  # keeps what the step at hand needs, and no more
    subject_mask, face_mask, person_mask = canvas.subject_mask, canvas.face_mask, canvas.person_mask

    def noise(index):
        return step_generator(request.seed, index)

    def progress(name, index):
        def on_step(pipeline, number, timestep, tensors):
            done, of = number + 1, getattr(profile, name).performed
            tell({"event": "progress", "step": name, "index": index, "done": done, "of": of})
            return {}

        return on_step

    # 1. The subject, in the skeleton's pose, painted into the empty place.
    pipeline = cache.pipeline("pose", profile)
    prompt = scene_prompt(request, profile.style, token_counter(pipeline.tokenizer))
    picture = steps.pose(
        *(canvas.background, canvas.skeleton, subject_mask, person_mask),
        *(prompt.text, pipeline, profile, noise(1), progress("pose", 1)),
    )
    # 2., 3. The subject painted again from weak noise, in the subject mask only: more detail.
    pipeline = cache.pipeline("detail", profile)
    for index in (2, 3):
        picture = steps.detail(
            picture, subject_mask, prompt.text, pipeline, profile, noise(index), progress("detail", index)
        )
    # 4. The whole picture from very weak noise: subject and place get the same grain, the place hardly moves.
    pipeline = cache.pipeline("harmonize", profile)
    picture = steps.harmonize(
        picture, subject_mask, prompt.text, pipeline, profile, noise(4), progress("harmonize", 4)
    )
    prompts = [prompt] * 4
    # 5. The visitor's own face: the head enlarged, repainted with their LoRA, and laid back.
    if request.lora:
        pipeline = cache.pipeline("face", profile)
        apply_lora(pipeline, job / request.lora, request.lora_scale)
        prompt = face_prompt(request, profile.style, token_counter(pipeline.tokenizer))
        picture = steps.face(
            *(picture, canvas.background, canvas.skeleton, face_mask, person_mask, request.faces),
            *(prompt.text, pipeline, profile, noise(5), progress("face", 5)),
        )
        prompts.append(prompt)
    return picture, prompts


if __name__ == "__main__":
    run_command(generate)
