"""Workers that take jobs for some steps only, and hand them on to each other."""

import os
import subprocess
import sys

import pytest

from benchmarks.harness import ROOT
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_job, make_lora, make_training
from diffuser_api.jobs import folders, queue, runner, status_changes
from diffuser_api.models import Job, Worker
from diffuser_api.operations import health, workers
from generation.step_table import ORDER

PAINTING, FACE, TRAINING = ("pose", "detail", "harmonize"), ("face",), ("train",)


@pytest.fixture
def catalogue(db):
    return make_catalogue()


@pytest.fixture
def with_face(catalogue):
    return make_job(lora=make_lora("12345678"))


@pytest.fixture
def seconds_of(monkeypatch):
    """A picture takes 10 seconds, a training 1000."""
    typical = {Job.Kind.GENERATION: 10.0, Job.Kind.TRAINING: 1000.0}
    monkeypatch.setattr(queue, "typical_seconds", typical.get)


def handed_on(job: Job, step: str = "face") -> Job:
    running = status_changes.claim(job.code)
    assert status_changes.requeue(running, running.attempt, next_step=step)
    return Job.objects.get(pk=job.pk)


def test_a_picture_does_not_wait_behind_a_training(catalogue, photos):
    training, next_training, picture = make_training(photos), make_training(photos), make_job()
    assert status_changes.claim_next(TRAINING).pk == training.pk
    assert status_changes.claim_next(PAINTING).pk == picture.pk
    assert status_changes.claim_next(PAINTING) is None
    assert status_changes.claim_next(TRAINING).pk == next_training.pk


def test_a_job_that_is_handed_on_is_for_those_who_serve_its_next_step(with_face):
    assert status_changes.claim_next(FACE) is None
    handed_on(with_face)
    assert status_changes.claim_next(PAINTING) is status_changes.claim_next(TRAINING) is None
    assert status_changes.claim_next(FACE).pk == with_face.pk
    job = Job.objects.get()
    assert (job.status, job.attempt, job.next_step) == ("running", 1, "face")


def test_a_job_that_is_handed_on_after_the_look_is_not_claimed_for_another_step(with_face, monkeypatch):
    turns = queue.in_turn(PAINTING)
    handed_on(with_face)
    monkeypatch.setattr(queue, "in_turn", lambda steps: turns)
    assert status_changes.claim_next(PAINTING) is None


def test_a_stop_or_a_kill_leaves_a_job_with_the_step_for_which_it_was_handed_on(with_face):
    handed_on(with_face)
    assert status_changes.requeue(status_changes.claim_next(FACE), attempt=1)
    assert status_changes.retry(status_changes.claim_next(FACE), "worker_died", "The worker died.")
    assert status_changes.claim_next(PAINTING) is None and status_changes.claim_next(FACE).attempt == 2


def test_a_picture_whose_folder_is_on_another_machine_ends_with_a_reason(with_face):
    for attempt in (1, 2, 3):
        running = status_changes.claim_next(PAINTING)
        assert running.attempt == attempt
        status_changes.requeue(running, attempt, next_step="face")
        runner.run(status_changes.claim_next(FACE), steps=FACE)
        assert not folders.generation_folder(with_face.code).exists()
    job = Job.objects.get()
    assert (job.status, job.error_code) == ("failed", "internal_error")
    assert "share" in job.error_message


def test_the_time_between_two_workers_does_not_count_as_work(with_face):
    handed_on(with_face)
    began = Job.objects.get().started_at
    running = status_changes.claim_next(FACE)
    assert running.started_at == began
    status_changes.add_timing(running, {"step": "face", "import_seconds": 1.0, "inference_seconds": 4.0})
    Job.objects.filter(pk=running.pk).update(
        status="succeeded", finished_at=began.replace(year=began.year + 1)
    )
    assert queue.typical_seconds(Job.Kind.GENERATION) == 5.0


# --- position and estimate ----------------------------------------------------------------------------------


def test_position_and_estimate_of_a_picture_leave_trainings_out_that_others_do(catalogue, photos, seconds_of):
    workers.register("painter", PAINTING + FACE)
    workers.register("trainer", TRAINING)
    running, waiting, picture = make_training(photos), make_training(photos), make_job()
    Job.objects.filter(pk=running.pk).update(status="running", worker="trainer")
    assert (queue.position(picture), queue.eta_seconds(picture)) == (0, 10)
    assert (queue.position(waiting), queue.eta_seconds(waiting)) == (1, 2000)


def test_position_and_estimate_count_trainings_where_one_worker_does_all(catalogue, photos, seconds_of):
    workers.register("all", workers.ALL_STEPS)
    make_training(photos)
    picture = make_job()
    assert (queue.position(picture), queue.eta_seconds(picture)) == (1, 1010)


def test_a_second_worker_shortens_the_estimate(catalogue, seconds_of):
    for name in ("one", "two"):
        workers.register(name, workers.ALL_STEPS)
    *_, last = [make_job() for _ in range(4)]
    assert (queue.position(last), queue.eta_seconds(last)) == (3, 20)


def test_the_estimate_of_a_picture_goes_from_worker_to_worker(with_face, seconds_of):
    workers.register("painter", PAINTING)
    workers.register("face", FACE)
    second = make_job(lora=with_face.lora)
    # The painter has 8 of the 10 seconds of each. The second one's face follows when both are painted.
    assert queue.eta_seconds(with_face) == 10 and queue.eta_seconds(second) == 18
    assert queue.eta_seconds(handed_on(with_face)) == 10  # no progress was written: all of it is left
    assert queue.position(second) == 0  # the other one waits for the worker of the faces


def test_no_estimate_is_given_and_advice_is_when_nobody_serves_a_step(with_face, seconds_of):
    workers.register("painter", PAINTING)
    assert queue.eta_seconds(with_face) is None
    assert health.parts()["worker"] == "ok"  # it has not waited long enough
    handed_on(with_face)
    Job.objects.update(created_at=with_face.created_at - 2 * health.LONGEST_SILENCE)
    make_job()
    status_changes.claim_next(PAINTING)  # so that the painter is at work
    assert "face" in health.parts()["worker"]


def test_a_silent_worker_is_forgotten(catalogue):
    workers.register("silent", FACE)
    Worker.objects.update(seen_at=Worker.objects.get().seen_at - 2 * workers.SILENT)
    assert workers.serving() == []
    workers.register("there", FACE)
    workers.forget_silent()
    assert [worker.name for worker in workers.serving()] == ["there"]
    assert [worker.name for worker in Worker.objects.all()] == ["there"]
    workers.leave("there")
    assert workers.serving() == []


# --- the setting --------------------------------------------------------------------------------------------


def setting(value: str) -> subprocess.CompletedProcess:
    code = "from djangoproject import settings; print(*settings.WORKER_STEPS)"
    environment = os.environ | {"WORKER_STEPS": value}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize(
    ("value", "steps"),
    [("", "train pose detail harmonize face"), ("face, pose", "pose face"), ("train", "train")],
)
def test_worker_steps_are_some_of_all_steps(value, steps):
    assert setting(value).stdout.split() == steps.split()


def test_worker_steps_that_are_none_stop_the_start():
    done = setting("pose,hair")
    assert done.returncode and "WORKER_STEPS='hair' must be some of train, pose" in done.stderr


def test_all_steps_of_a_picture_are_known_to_workers():
    assert set(ORDER) < set(workers.ALL_STEPS)
