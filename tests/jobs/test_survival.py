"""A worker that is stopped or killed in the middle of a picture, and a job that is cancelled there."""

import signal

import pytest
from django.core.files.base import ContentFile

from benchmarks.harness.clients import make_job
from benchmarks.harness.job_folders import read_inputs
from benchmarks.harness.running_worker import is_gone, step_of, wait_until, worker
from diffuser_api.jobs import folders, run_generation, status_changes
from diffuser_api.models import Job, LoraModel
from generation import job_folder

pytestmark = pytest.mark.usefixtures("family")


@pytest.fixture
def folder(catalogue, family):
    """Of a job that an earlier attempt has brought to its fifth and last step."""
    weights = (family / "lora.safetensors").read_bytes()
    lora = LoraModel.objects.create(code="12345678", file=ContentFile(weights, "12345678.safetensors"))
    job = make_job(lora=lora)
    folder = folders.generation_folder(job.code)
    folder.mkdir()
    run_generation.fill(folder, job)
    background = read_inputs(folder).canvas.background
    for index in (0, 1, 2, 3, 4):
        record = {"code": job.code, "seed": 1, "steps": []}
        job_folder.write_picture(background, job_folder.picture_path(folder, index), record)
    return folder


def the_job() -> Job:
    return Job.objects.get()


def test_a_picture_goes_on_at_its_step_after_a_stop_and_after_kills(folder):
    before = {path.name: path.stat().st_mtime_ns for path in folder.glob("?-*.png")}
    with worker() as stopped:
        step = wait_until(lambda: step_of(stopped, folder))
        stopped.send_signal(signal.SIGTERM)
        stopped.wait(20)
        assert is_gone(step)
    assert (the_job().status, the_job().attempt) == ("queued", 1)

    with worker() as killed:
        orphan = wait_until(lambda: step_of(killed, folder))
        killed.kill()
        killed.wait()
    assert the_job().status == "running"
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("?-*.png")} == before

    with worker() as process:
        step = wait_until(lambda: step_of(process, folder))
        assert is_gone(orphan) and the_job().attempt == 2
        step.kill()
        wait_until(lambda: the_job().is_finished)
        assert (the_job().status, the_job().attempt) == ("succeeded", 3)
        wait_until(lambda: not folder.exists())
        process.terminate()
        process.wait(20)
    assert [timing["step"] for timing in the_job().timings] == ["face"]


def test_a_cancelled_picture_ends_with_its_processes_and_its_folder(folder):
    with worker() as process:
        step = wait_until(lambda: step_of(process, folder))
        assert status_changes.cancel(the_job().code)
        wait_until(lambda: not folder.exists() and is_gone(step), 10)
        assert process.poll() is None and the_job().status == "cancelled"


def test_a_broken_picture_of_an_earlier_attempt_is_painted_again(folder):
    whole, broken = job_folder.picture_path(folder, 3), job_folder.picture_path(folder, 4)
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    assert run_generation.unfinished_request(folder)
    assert whole.exists() and not broken.exists()


def test_a_broken_unmarked_picture_is_made_again_with_the_last_step(folder):
    last, unmarked = job_folder.picture_path(folder, 5), folder / job_folder.UNMARKED
    for path in (last, unmarked):
        path.write_bytes(job_folder.picture_path(folder, 4).read_bytes())
    assert run_generation.unfinished_request(folder) and last.exists()
    unmarked.write_bytes(unmarked.read_bytes()[: unmarked.stat().st_size // 2])
    assert run_generation.unfinished_request(folder)
    assert not last.exists() and not unmarked.exists() and job_folder.picture_path(folder, 4).exists()


def test_a_broken_request_is_laid_out_anew(folder):
    (folder / "request.json").write_text("{")
    assert not run_generation.unfinished_request(folder)
