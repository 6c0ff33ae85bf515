"""Runs a generation job: fills the job's folder, lets ``generator`` run the steps, and stores the picture.

The steps know only the folder, not the database. ``status_changes`` changes the job's row.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Collection
from pathlib import Path

from django.conf import settings
from PIL import Image

from diffuser_api.jobs import choosing, folders, lora_file, status_changes, working_files
from diffuser_api.jobs.copies import Copies
from diffuser_api.jobs.lease import Lease, database_errors_tolerated, insist
from diffuser_api.marking.finish import finish
from diffuser_api.models import Job
from generation import generator, repaint
from generation.job_folder import PICTURES, UNMARKED, picture_path
from generation.marking import watermark
from generation.models.profiles import get_profile
from generation.models.safety import PictureRefused
from generation.request import GenerationRequest, InvalidRequest
from generation.step_table import ORDER, planned

LORA = (".safetensors",)  # the only file of a picture's folder that the storage has in any case


def run(job: Job, lease: Lease, steps: Collection[str] = ORDER) -> None:
    """Run the job until it has succeeded, has failed or is queued again. Steps that an earlier attempt or
    another worker has finished are not repeated. Before a step that is none of ``steps``, it is handed on.

    Raises Lost, Stopped or TimedOut if the run must end early.
    """
    folder = folders.generation_folder(job.code)
    # The models may have been changed since the picture was asked for.
    if job.lora and (misfit := insist(lambda: lora_file.misfit(job.lora))):
        text = str(misfit)
        insist(lambda: status_changes.fail(job, "lora_unusable", text))
        return
    lease.check()  # the face may have been erased since the job was claimed
    try:
        folders.make(folder)
        copies = Copies(job, folder, left_out=LORA)
        request = insist(lambda: begun(job, folder, copies))
        is_new = request is None
        if is_new:
            folders.remove(job.code)
            folders.make(folder)
            request = fill(folder, job)

        def on_event(event: dict) -> None:
            follow(job, event, lease)
            copies.store_if_due(at_once=event["event"] == "begin")  # the step before it is done then

        picture = generator.generate(folder, on_event, request, steps)
        finished, body = _marked(job, folder, picture, request), None
        if request.lora:  # so that a face can be painted again alone
            body = picture_path(folder, len(ORDER) - 1)
            job.parameters["made_from"] = digest_of(folder, request)
        insist(lambda: status_changes.finish_generation(job, finished, body))
    except InvalidRequest as error:
        text = f"A file of the catalogue can't be used: {error}"
        insist(lambda: status_changes.fail(job, "unusable_files", text))
    except PictureRefused as error:
        text = str(error)
        insist(lambda: status_changes.fail(job, "picture_refused", text))
    except generator.NotServed as other:
        hand_on(job, other.step, copies, is_new)
    except generator.StepFailed as error:
        text = str(error)
        if not error.killed:
            insist(lambda: status_changes.fail(job, "step_failed", text))
            return
        # If the worker is being stopped, the same signal may have ended the step: no attempt is lost.
        lease.check()
        insist(lambda: status_changes.retry(job, "step_failed", text))


def hand_on(job: Job, step: str, copies: Copies, is_new: bool) -> None:
    if is_new and step == ORDER[0]:
        insist(lambda: begin_elsewhere(job))
    else:
        insist(copies.store)
        insist(lambda: status_changes.requeue(job, job.attempt, next_step=step))


def _marked(job: Job, folder: Path, picture: Path, request: GenerationRequest) -> Path:
    """The finished picture. The job's row will have the reference of its watermark, if it has one."""
    reference = watermark.draw() if settings.WATERMARK else None
    job.mark = "" if reference is None else f"{reference:016x}"
    return finish(folder, picture, request, reference)


def begin_elsewhere(job: Job) -> bool:
    """Another worker has begun the job, but not in a folder that this one sees. That costs an attempt, or two
    such workers would hand the job on to each other for ever."""
    working_files.remove(job.code)
    text = f"The picture so far is not in {settings.TMP_DATA_DIR}: workers that share the steps share it too."
    if settings.BUCKET:
        text = "The picture so far is not in the storage."
    return status_changes.retry(job, "internal_error", text, next_step="", working_files={})


def begun(job: Job, folder: Path, copies: Copies) -> GenerationRequest | None:
    """The request with which an earlier run has begun, here or, with STORAGE_URL, on any machine. None if
    there is none. Raises Away."""
    is_fetched = copies.fetch()
    request = unfinished_request(folder)
    if request and request.lora and is_fetched:
        _copy(job.lora.file, folder, Path(request.lora).stem)
    return request


def unfinished_request(folder: Path) -> GenerationRequest | None:
    """The request that an earlier attempt left in the folder; None if it is missing or damaged.

    Pictures in the folder that a power cut has damaged are removed. If it was the unmarked one, the last step
    makes it again.
    """
    try:
        request = GenerationRequest.load(folder)
    except InvalidRequest:
        return None
    for path in (folder / UNMARKED, *(picture_path(folder, index) for index in range(len(ORDER) + 1))):
        try:
            with Image.open(path) as picture:
                picture.load()
        except (OSError, SyntaxError):  # missing or cut off
            path.unlink(missing_ok=True)
    if not (folder / UNMARKED).exists():
        last = len(planned(with_lora=bool(request.lora)))
        picture_path(folder, last).unlink(missing_ok=True)
    return request


def _copy(field_file, folder: Path, stem: str) -> str:
    """Copy a stored file into the folder. Returns the copy's name. Raises InvalidRequest if the file is
    gone."""
    name = stem + Path(field_file.name).suffix
    try:
        source = insist(lambda: field_file.open("rb"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"the {stem} is gone") from error
    with source, (folder / name).open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())  # request.json, written last, says that the files are whole
    return name


def fill(folder: Path, job: Job) -> GenerationRequest:
    """Copy the request's files into the folder, and write request.json."""
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
        skin=job.lora.skin if job.lora else [],
        looks=job.lora.looks if job.lora else {},
        first=job.first,
    )
    if request.first == len(ORDER):
        _lay_body(folder, job, request)
    request.save(folder)
    return request


def _lay_body(folder: Path, job: Job, request: GenerationRequest) -> None:
    """The kept picture that a new face is painted on. Raises InvalidRequest."""
    if job.parameters["made_from"] != digest_of(folder, request):
        raise InvalidRequest("the place or the action was changed after the picture was painted")
    body = folder / _copy(job.body, folder, "kept-picture")
    repaint.begin_with_face(folder, request, get_profile(), body)


def digest_of(folder: Path, request: GenerationRequest) -> str:
    with contextlib.ExitStack() as opened:
        paths = [folder / getattr(request, field) for field in PICTURES]
        return choosing.digest(opened.enter_context(path.open("rb")) for path in paths)


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
        elif event["event"] == "again":
            text = f"Painted again from step {event['first']} on, with the next seed: {event['reason']}."
            status_changes.add_log(job, text)
    lease.check()
