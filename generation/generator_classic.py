"""A whole picture in one process: ``python -m generation.generator_classic REQUEST.json``.

The version to read to understand the algorithm. It makes the same picture as ``generator.py``, pixel for
pixel, but the models of all steps pass through one process, whose memory grows with each.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from generation import job_folder
from generation.generator import run_command
from generation.models import safety
from generation.steps import load_pipeline, paint, record_of


def generate(job: Path, on_event: Callable[[dict], None] | None = None) -> Path:
    """Run all steps in folder ``job``; the path of the finished picture."""
    tell = on_event or (lambda event: None)

    # Who, doing what, wearing what, where: a request, a background, a skeleton and two masks on one canvas.
    inputs = job_folder.Inputs.read(job)
    picture = inputs.background
    record = {"code": inputs.request.code, "seed": inputs.request.seed, "steps": []}

    def step(index: int, name: str, picture):
        pipeline = load_pipeline(name, inputs)

        def report(done: int, of: int, look) -> None:
            tell({"event": "progress", "step": name, "index": index, "done": done, "of": of})

        painted = paint(name, index, picture, inputs, pipeline, report)
        record["steps"].append(record_of(name, index, inputs, pipeline))
        return painted

    # 1. The subject, in the skeleton's pose, painted into the empty place.
    picture = step(1, "pose", picture)
    # 2., 3. What was painted, painted again from weak noise: more detail, in the subject mask only.
    picture = step(2, "detail", picture)
    picture = step(3, "detail", picture)
    # 4. The whole picture from very weak noise: subject and place get one grain, the place hardly moves.
    picture = step(4, "harmonize", picture)
    # 5. The visitor's own face: the head enlarged, repainted with their LoRA, and laid back.
    if inputs.lora:
        picture = step(5, "face", picture)

    safety.check(picture, inputs.profile)
    job_folder.write_picture(picture, job_folder.picture_path(job, len(record["steps"])), record)
    return job_folder.finish(job)


if __name__ == "__main__":
    run_command(generate)
