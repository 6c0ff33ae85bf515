"""A step or a training that hangs while its worker lives: ended, and its job fails and says why."""

import contextlib
import threading

import psutil
import pytest

from benchmarks.harness.catalogue import make_photos
from benchmarks.harness.clients import make_job, make_training
from benchmarks.harness.running_worker import is_gone, step_of, wait_until
from diffuser_api.jobs import folders, runner, status_changes
from diffuser_api.models import Job

pytestmark = pytest.mark.usefixtures("family")


def run(job: Job) -> Job:
    """This process is the worker, so that the limit can change when the models are loaded."""
    runner.run(status_changes.claim(job.code))
    return Job.objects.get(pk=job.pk)


def run_hanging(job: Job, find) -> tuple[Job, psutil.Process]:
    """With the process that ``find`` finds held still from when it is there."""
    held = []

    def hold():
        held.append(wait_until(find, 60))
        held[0].suspend()

    thread = threading.Thread(target=hold)
    thread.start()
    ended = run(job)
    thread.join()
    return ended, held[0]


def test_a_step_that_hangs_is_ended_and_its_job_fails(catalogue, settings):
    assert run(make_job()).status == "succeeded"  # the models are loaded
    settings.STEP_TIMEOUT = 3
    job = make_job()
    folder = folders.generation_folder(job.code)
    failed, step = run_hanging(job, lambda: step_of(psutil.Process(), folder))
    assert (failed.status, failed.error_code, failed.attempt) == ("failed", "timed_out", 1)
    assert failed.error_message == "Step pose took longer than 3 s, the limit of STEP_TIMEOUT, and was ended."
    assert is_gone(step) and not folder.exists()
    settings.STEP_TIMEOUT = 0
    assert run(make_job()).status == "succeeded"


def session_of(code: str) -> list[psutil.Process]:
    """launch.bash and what it has started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            found += [child] if code in " ".join(child.cmdline()) else []
    return found


def test_a_training_that_hangs_is_ended_and_fails(catalogue, settings):
    settings.TRAINING_TIMEOUT = 5
    job = make_training(make_photos())
    session = []

    def trainer():
        session[:] = session_of(job.code)
        return next((one for one in session if "train_network.py" in " ".join(one.cmdline())), None)

    failed, _ = run_hanging(job, trainer)
    assert (failed.status, failed.error_code) == ("failed", "timed_out")
    assert "The training took longer than 5 s, the limit of TRAINING_TIMEOUT" in failed.error_message
    assert len(session) > 1 and all(is_gone(one) for one in session)
    assert not list(settings.TRAINING_APP_DIR.glob(f"*/{job.code}")) and not failed.photos.exists()
