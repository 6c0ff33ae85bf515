"""Runs a training job: writes the training pictures, starts launch.bash, and follows its output.

``launch.bash`` and the profile decide how a LoRA is trained. ``status_changes`` changes the job's row.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import IO

from django.conf import settings

from diffuser_api.jobs import folders, processes, status_changes
from diffuser_api.jobs.copies import Copies
from diffuser_api.jobs.giving_way import Checkpoints, GivesWay
from diffuser_api.jobs.lease import SECONDS_BETWEEN_LOOKS, Lease, database_errors_tolerated, insist
from diffuser_api.models import Job, TrainingPhoto
from generation import training_set
from generation.models.profiles import ModelProfile, get_profile
from generation.processes import lifeline, omp
from generation.step_table import TRAIN
from generation.vision import detectors

LAUNCH = Path(settings.BASE_DIR) / "training-app" / "launch.bash"
KEPT_LOG, KEPT_LINES = 64_000, 2_000  # so many characters and lines are kept from the end of the output
LONGEST_LINE = 8_000  # bytes
SECONDS_TO_END = 10.0  # between SIGTERM and SIGKILL
# The training gets these variables of the worker's environment: not the secret key or the database's URL.
PASSED_ON = {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "SSL_CERT_FILE"}
PASSED_ON |= {"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}
PASSED_ON_PREFIXES = ("HF_", "CUDA_", "NVIDIA_", "OMP_", "GOMP_")


def run(job: Job, lease: Lease, steps: Collection[str] = (TRAIN,)) -> None:
    """Run the training. Returns when it has ended, or is queued again since it gave way to a picture that
    waits for one of ``steps``, those that this worker serves.

    The trainer delivers its LoRA, or the reason for a failure, by HTTP, and the delivery ends the job.
    Without a delivery, the job fails here. If a signal ended the training, the job gets another attempt,
    which continues from the last checkpoint. Raises Lost, Stopped or TimedOut if the run must end early.
    """
    profile = get_profile()
    log = collections.deque(maxlen=KEPT_LINES)
    try:
        lay_out_photos(job, profile)
        copies = Copies(job, folders.training_output(job.code))
        insist(copies.fetch)
        checkpoints = Checkpoints(job, steps)
        status = follow(job, start(job, profile), log, lease, copies, checkpoints)
    except GivesWay as way:
        to = way.to
        insist(copies.store)
        insist(lambda: status_changes.requeue(job, job.attempt, gives_way_to=to))
        return
    finally:
        with database_errors_tolerated():
            Job.objects.filter(pk=job.pk).update(log="".join(log)[-KEPT_LOG:])
    if not insist(lambda: status_changes.is_held(job)):
        return
    if status == 0:
        reason = "the training ended, but its LoRA did not arrive"
        insist(lambda: status_changes.fail(job, "training_failed", reason))
    elif 0 < status < 128:
        insist(lambda: status_changes.fail(job, "training_failed", find_reason(log, status)))
    else:
        # If the worker is being stopped, the same signal may have ended the training: no attempt is lost.
        lease.check()
        insist(lambda: status_changes.retry(job, "training_failed", find_reason(log, status)))


def lay_out_photos(job: Job, profile: ModelProfile) -> None:
    """Write the training pictures into the folder that the trainer reads."""
    folder = folders.training_input(job.code)
    shutil.rmtree(folder, ignore_errors=True)  # of an interrupted attempt; its checkpoint stays
    folders.make(folder)
    folders.make(folders.training_output(job.code))  # before launch.bash makes it, so that it gets our mark
    aside = folders.make(folders.generation_folder(job.code))  # one that is removed with the job's others
    photos = [insist(functools.partial(_copy, photo, aside)) for photo in job.photos.order_by("index")]
    training_set.write(photos, folder, profile.training, detectors(profile.name))
    shutil.rmtree(aside)


def _copy(photo: TrainingPhoto, folder: Path) -> Path:
    """Raises OSError or Away."""
    path = folder / f"{photo.index}{Path(photo.file.name).suffix}"
    with photo.file.open("rb") as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)
    return path


def start(job: Job, profile: ModelProfile) -> subprocess.Popen:
    """Start launch.bash in a session of its own, so that it and its children can be ended together."""
    return subprocess.Popen(
        lifeline.tied(["bash", str(LAUNCH), job.code]),  # ends with the worker, and then ends its own child
        env=environment(job, profile),
        cwd=LAUNCH.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def environment(job: Job, profile: ModelProfile) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in PASSED_ON or k.startswith(PASSED_ON_PREFIXES)}
    return {
        **kept,
        **omp.waiting(),
        **profile.training.environment(),
        **processes.mark(),
        "PYTHON": sys.executable,
        "MODEL_PROFILE": profile.name,
        "MODEL": profile.training_model.id,
        "MODEL_REVISION": profile.training_model.revision or "",
        "TRAINING_APP_DIR": str(folders.training_app()),
        "SERVER_URL": settings.SERVER_URL,
        "LORA_CODE": job.code,
        "CALLBACK_TOKEN": insist(lambda: status_changes.issue_token(job)),
        "KEEP_INTERRUPTED": "1",  # this module decides whether the job continues, and needs the files then
    }


def follow(
    job: Job,
    process: subprocess.Popen,
    log: collections.deque[str],
    lease: Lease,
    copies: Copies,
    checkpoints: Checkpoints,
) -> int:
    """Read stdout and stderr until the process has ended. Returns its exit status (negative: a signal).
    Checkpoints and sample pictures are stored meanwhile.

    Raises Lost, Stopped, TimedOut or GivesWay. The whole session has ended when this returns or raises.
    """
    lease.set_limit(settings.TRAINING_TIMEOUT, "The training", "TRAINING_TIMEOUT")
    try:
        for stream, line in lines_of(process):
            if line:
                log.append(line)
            if stream == "stdout" and (values := parse_progress(line)):
                with database_errors_tolerated():
                    write_progress(job, values)
                    checkpoints.look(values.get("done", 0))
            copies.store_if_due()
            lease.check()
        return process.wait()
    finally:
        end_session(process)


def write_progress(job: Job, values: dict) -> None:
    if "done" in values:
        status_changes.progress(job, step=TRAIN, done=values["done"], of=values["of"])
    else:
        status_changes.add_timing(job, values)


def lines_of(process: subprocess.Popen) -> Iterator[tuple[str, str]]:
    """Yields ("stdout" or "stderr", line) until the process has ended and all of its output is read. Yields
    ("", "") when no line has come for ``SECONDS_BETWEEN_LOOKS``, so that the caller can look at its lease."""
    arrived: queue.SimpleQueue[tuple[str, str] | None] = queue.SimpleQueue()

    def read(name: str, stream: IO[bytes]) -> None:
        with stream:
            for line in iter(lambda: stream.readline(LONGEST_LINE), b""):
                arrived.put((name, line.decode(errors="replace").replace("\0", "")))
        arrived.put(None)

    for name in ("stdout", "stderr"):
        threading.Thread(target=read, args=(name, getattr(process, name)), daemon=True).start()
    open_streams, has_ended = 2, False
    while open_streams or not has_ended:
        if not has_ended and process.poll() is not None:
            has_ended = True
            end_session(process)  # a child that outlived bash would hold the streams open
        try:
            line = arrived.get(timeout=SECONDS_BETWEEN_LOOKS)
        except queue.Empty:
            line = ("", "")
        if line is None:
            open_streams -= 1
        else:
            yield line


def end_session(process: subprocess.Popen) -> None:
    """End launch.bash, and give it time to remove its files. Then kill what is left of its session."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(SECONDS_TO_END)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def parse_progress(line: str) -> dict | None:
    """The values of one of the trainer's JSON lines; None for any other line of stdout."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    return values if isinstance(values, dict) and values.get("step") == TRAIN else None


def find_reason(log: collections.deque[str], status: int) -> str:
    """The reason for a failure: the signal, or the last line of the output that isn't about progress."""
    last = next((line.strip() for line in reversed(log) if line.strip() and not parse_progress(line)), "")
    if status < 0:
        return f"the training was ended by signal {-status}"
    return last.removeprefix("error: ") or f"the training ended with status {status}"
