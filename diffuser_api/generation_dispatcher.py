"""From a generation job to generator.py and back: fills the job's folder, runs the steps, keeps the picture.

Knows folders. The steps know only the folder; what its row says is up to ``jobs``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings

from diffuser_api import jobs
from diffuser_api.models import Job
from generation import generator
from generation.profiles import get_profile
from generation.request import GenerationRequest, InvalidRequest


def run(job: Job) -> None:
    """Ends with the job succeeded or failed, and its folder gone."""
    folder = Path(settings.TMP_DATA_DIR) / job.code
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fill(folder, job)
        picture = generator.generate(folder, lambda event: follow(job, event))
        jobs.finish_generation(job.code, picture)
    except InvalidRequest as error:
        jobs.fail(job.code, "unusable_files", f"A file of the catalogue can't be used: {error}")
    except generator.StepFailed as error:
        jobs.fail(job.code, "step_failed", str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(field_file, folder: Path, stem: str) -> str:
    """A copy of a stored file in the folder; returns its name. Raises InvalidRequest when it is gone."""
    name = stem + Path(field_file.name).suffix
    try:
        with field_file.open("rb") as source, (folder / name).open("wb") as target:
            shutil.copyfileobj(source, target)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"the {stem} is gone") from error
    return name


def fill(folder: Path, job: Job) -> None:
    """Write request.json and copies of all the files that it names."""
    place, action = job.poi_image, job.action_image
    if place is None or action is None:
        raise InvalidRequest("the place's or the action's image was deleted after the picture was asked for")
    GenerationRequest(
        code=job.code,
        profile=get_profile().name,
        seed=job.seed,
        background=_copy(place.image, folder, "background"),
        skeleton=_copy(action.skeleton, folder, "skeleton"),
        subject_mask=_copy(action.subject_mask, folder, "subject-mask"),
        face_mask=_copy(action.face_mask, folder, "face-mask"),
        age=job.parameters["age"],
        gender=job.parameters["gender"],
        action_description=action.action.description,
        other_details=job.parameters["other_details"],
        place_description=place.description,
        lora=_copy(job.lora.file, folder, "lora") if job.lora else None,
        lora_code=job.lora.code if job.lora else None,
        faces=job.lora.faces if job.lora else None,
    ).save(folder)


def follow(job: Job, event: dict) -> None:
    """Write an event of the generator to the job's row."""
    values = {key: value for key, value in event.items() if key != "event"}
    if event["event"] == "progress":
        jobs.progress(job, **values)
    elif event["event"] == "step":
        jobs.add_timing(job, values)
