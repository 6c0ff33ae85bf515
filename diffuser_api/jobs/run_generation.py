"""From a generation job to generator.py and back: fills the job's folder, runs the steps, keeps the picture.

Knows folders. The steps know only the folder; what its row says is up to ``status_changes``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from django.conf import settings
from PIL import Image

from diffuser_api.jobs import folders, lora_file, status_changes
from diffuser_api.jobs.lease import Lease, database_errors_tolerated, insist
from diffuser_api.marking.finish import finish
from diffuser_api.models import Job
from generation import generator
from generation.job_folder import picture_path
from generation.models.profiles import get_profile
from generation.models.safety import PictureRefused
from generation.request import GenerationRequest, InvalidRequest
from generation.step_table import ORDER


def run(job: Job, lease: Lease) -> None:
    """Ends with the job succeeded, failed or queued again. What its folder holds already stays.

    Raises Lost, Stopped or TimedOut if the run is broken off.
    """
    folder = folders.generation_folder(job.code)
    # The models may have been changed since the picture was asked for.
    if job.lora and (misfit := lora_file.misfit(job.lora)):
        text = str(misfit)
        insist(lambda: status_changes.fail(job, "lora_unusable", text))
        return
    lease.check()  # the face may have been erased since the job was claimed
    try:
        folders.make(folder)
        request = unfinished_request(folder)
        if request is None:
            folders.remove(job.code)
            folders.make(folder)
            request = fill(folder, job)
        picture = generator.generate(folder, lambda event: follow(job, event, lease), request)
        finished = finish(folder, picture, request)
        insist(lambda: status_changes.finish_generation(job, finished))
    except InvalidRequest as error:
        text = f"A file of the catalogue can't be used: {error}"
        insist(lambda: status_changes.fail(job, "unusable_files", text))
    except PictureRefused as error:
        text = str(error)
        insist(lambda: status_changes.fail(job, "picture_refused", text))
    except generator.StepFailed as error:
        text = str(error)
        if not error.killed:
            insist(lambda: status_changes.fail(job, "step_failed", text))
            return
        lease.check()  # a worker that stops may have ended the step with it: that costs no attempt
        insist(lambda: status_changes.retry(job, "step_failed", text))


def unfinished_request(folder: Path) -> GenerationRequest | None:
    """The request that an earlier attempt left in the folder, if it is whole.

    Pictures of it that a power cut has broken are removed.
    """
    try:
        request = GenerationRequest.load(folder)
    except InvalidRequest:
        return None
    for index in range(len(ORDER) + 1):
        path = picture_path(folder, index)
        try:
            with Image.open(path) as picture:
                picture.load()
        except (OSError, SyntaxError):  # missing or cut off
            path.unlink(missing_ok=True)
    return request


def _copy(field_file, folder: Path, stem: str) -> str:
    """A copy of a stored file in the folder; returns its name. Raises InvalidRequest when it is gone."""
    name = stem + Path(field_file.name).suffix
    try:
        source = field_file.open("rb")
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"the {stem} is gone") from error
    with source, (folder / name).open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())  # request.json, written last, says that the files are whole
    return name


def fill(folder: Path, job: Job) -> GenerationRequest:
    """Write request.json and copies of all the files that it names."""
    place, action = job.poi_image, job.action_image
    if place is None or action is None:
        raise InvalidRequest("the place's or the action's image was deleted after the picture was asked for")
    request = GenerationRequest(
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
        skin_tone=job.lora.skin_tone if job.lora else "",
    )
    request.save(folder)
    return request


def follow(job: Job, event: dict, lease: Lease) -> None:
    """Write an event of the generator to the job's row. Raises Lost, Stopped or TimedOut."""
    values = {key: value for key, value in event.items() if key != "event"}
    if event["event"] == "begin":
        lease.set_limit(settings.STEP_TIMEOUT, f"Step {event['step']}", "STEP_TIMEOUT")
    with database_errors_tolerated():
        if event["event"] == "progress":
            status_changes.progress(job, **values)
        elif event["event"] == "step":
            status_changes.add_timing(job, values)
    lease.check()
