"""A job's working files, for those who look at them: pages that show how far it is, deletion, the sweep.

They are in the worker's folder (``folders``). With STORAGE_URL, machines share no folder: the worker stores
copies of them (``copies``), and the job's row says under which names. Only the worker reads its folder then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO

from django.conf import settings
from django.core.files.storage import default_storage

from diffuser_api import storage
from diffuser_api.jobs import folders, queue
from diffuser_api.models import Job
from generation.job_folder import PREVIEW, picture_path
from generation.step_table import ORDER

STORED = "work"  # the folder of all jobs' copies in the storage
SAMPLES = "sample"  # the trainer's folder for what it has painted on its way
MOST_SAMPLES = 4
# A copy that the row of an unfinished job doesn't name: the worker may still be storing the ones beside it.
STORING = timedelta(minutes=10)


# --- what is seen of a job while it runs --------------------------------------------------------------------


def _folder(job: Job) -> Path:
    is_picture = job.kind == Job.Kind.GENERATION
    return folders.generation_folder(job.code) if is_picture else folders.training_output(job.code)


def _version(job: Job, name: str) -> str:
    """Another text when the file has changed; empty if there is none."""
    if settings.BUCKET:
        return job.working_files.get(name, "")
    try:
        return str((_folder(job) / name).stat().st_mtime_ns)
    except OSError:
        return ""


def _open(job: Job, name: str) -> IO[bytes]:
    """Raises OSError if there is no such file."""
    if not settings.BUCKET:
        return (_folder(job) / name).open("rb")
    if name not in job.working_files:
        raise FileNotFoundError(name)
    return default_storage.open(job.working_files[name])


def _picture(index: int) -> str:
    return picture_path(Path(), index).name


def pictures(job: Job) -> list[int]:
    """The numbers of the steps whose pictures are there; 0 is the place."""
    return [index for index in range(len(ORDER) + 1) if _version(job, _picture(index))]


def newest(job: Job) -> int | None:
    return max(pictures(job), default=None)


def open_picture(job: Job, index: int) -> IO[bytes]:
    """Raises OSError."""
    return _open(job, _picture(index))


def preview(job: Job) -> str:
    """Another text for each preview of the first step; empty while there is none."""
    return _version(job, PREVIEW)


def open_preview(job: Job) -> IO[bytes]:
    """Raises OSError."""
    return _open(job, PREVIEW)


def samples(job: Job) -> list[str]:
    """The names of what a training has painted on its way, the newest first."""
    if settings.BUCKET:
        paths = [Path(name) for name in job.working_files if Path(name).parent.name == SAMPLES]
    else:
        paths = list((_folder(job) / SAMPLES).glob("*.png"))
    return sorted((path.name for path in paths), reverse=True)[:MOST_SAMPLES]


def open_sample(job: Job, name: str) -> IO[bytes]:
    """Raises OSError if it is none of ``samples``."""
    if name not in samples(job):
        raise FileNotFoundError(name)
    return _open(job, f"{SAMPLES}/{name}")


# --- their end ----------------------------------------------------------------------------------------------


def stored(code: str) -> list[str]:
    """The names of the copies of a job's working files, also of those that its row doesn't name."""
    if not settings.BUCKET:
        return []
    return [name for page in default_storage.pages(f"{STORED}/{code}") for name in page]


def remove(code: str) -> None:
    """Remove all working files of a job, and their copies. If the storage is away, a sweep removes those."""
    folders.remove(code)
    try:
        names = stored(code)
    except storage.Away:
        return
    for name in names:
        storage.delete(name)


def ownerless(writing: timedelta) -> Iterator[str]:
    """The names of copies that no unfinished job needs, and that are older than ``writing``."""
    if not settings.BUCKET:
        return
    for page in default_storage.pages(STORED):
        codes = {_code(name) for name in page}
        unfinished = Job.objects.filter(code__in=codes, status__in=queue.UNFINISHED)
        needed = dict(unfinished.values_list("code", "working_files"))
        for name, age in page.items():
            named = needed.get(_code(name))
            is_needed = named is not None and name in named.values()
            if not is_needed and age >= (writing if named is None else STORING):
                yield name


def _code(name: str) -> str:
    return name.split("/")[1]
