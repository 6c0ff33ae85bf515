"""A run is broken off where it waits: when its job is lost, its worker stops, or it takes too long."""

import threading

import pytest
from django.db import OperationalError
from django.utils import timezone

from benchmarks.harness.clients import make_job, make_training
from benchmarks.harness.running_worker import wait_until
from diffuser_api.jobs import lease, run_generation, runner, status_changes, sweep
from diffuser_api.jobs.lease import Lease, Lost, Stopped, TimedOut
from diffuser_api.models import Job


@pytest.fixture
def job(catalogue):
    return status_changes.claim(make_job().code)


@pytest.fixture(autouse=True)
def every_look_counts(monkeypatch):
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_LOOKS", 0.0)


def test_a_job_that_is_ours_goes_on(job):
    Lease(job).check()


@pytest.mark.parametrize("take", ["cancel", "delete", "queue again"])
def test_a_job_that_was_taken_away_is_lost(job, take):
    mine = Lease(job)
    mine.check()
    if take == "cancel":
        status_changes.cancel(job.code)
    elif take == "delete":
        job.delete()
    else:
        status_changes.requeue(job, attempt=2)
    with pytest.raises(Lost):
        mine.check()


def test_a_delivered_training_is_not_lost_to_its_worker(transactional_db, photos):
    training = status_changes.claim(make_training(photos).code)
    status_changes.finish_training(training, b"weights")
    Lease(training).check()
    assert not status_changes.is_held(training)


def test_a_worker_that_is_to_end_stops_every_job(job):
    with pytest.raises(Stopped):
        Lease(job, is_stopping=lambda: True).check()


def test_a_task_that_is_late_is_named_with_its_limit(job):
    mine = Lease(job)
    mine.set_limit(0, "Step pose", "STEP_TIMEOUT")
    mine.check()
    mine.set_limit(-1, "Step pose", "STEP_TIMEOUT")
    with pytest.raises(TimedOut, match="Step pose took longer .* the limit of STEP_TIMEOUT"):
        mine.check()


@pytest.fixture
def broken_database(monkeypatch):
    def fail(*args, **kwargs):
        raise OperationalError("database is locked")

    for name in ("is_lost", "progress", "add_timing"):
        monkeypatch.setattr(status_changes, name, fail)


def test_a_look_or_a_write_that_the_database_refuses_ends_nothing(job, broken_database):
    mine = Lease(job)
    mine.check()
    progress = {"event": "progress", "step": "pose", "index": 1, "done": 1, "of": 2}
    for event in (progress, {"event": "step", "step": "pose"}, {"event": "waiting"}):
        run_generation.follow(job, event, mine)


def test_a_timing_whose_write_was_dropped_is_written_with_the_end(job, monkeypatch, tmp_path):
    def fail(job):
        raise OperationalError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(status_changes, "_held", fail)
        run_generation.follow(job, {"event": "step", "step": "pose"}, Lease(job))
    (tmp_path / "picture.png").write_bytes(b"x")
    assert status_changes.finish_generation(job, tmp_path / "picture.png")
    assert Job.objects.get().timings == [{"step": "pose"}]


def test_the_heart_beats_while_the_run_is_busy_elsewhere(job, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS_BETWEEN_BEATS", 0.05)
    before = Job.objects.get().heartbeat_at
    with Lease(job).heartbeat():
        wait_until(lambda: Job.objects.get().heartbeat_at != before)


def test_a_sweep_goes_on_while_this_workers_own_job_is_broken_off(job, monkeypatch):
    """The sweep retries another worker's job just when this one's own job was cancelled."""
    dead = status_changes.claim(make_job().code)
    long_ago = timezone.now() - 2 * status_changes.SILENT_ELSEWHERE
    Job.objects.filter(pk=dead.pk).update(worker="ffffffff-1-1-1", heartbeat_at=long_ago)
    finished = []

    def run(job, mine, steps):
        status_changes.cancel(job.code)
        try:
            mine.check()
        finally:
            sweeping = threading.Thread(target=lambda: finished.append(sweep.attempt()))
            sweeping.start()
            sweeping.join()

    monkeypatch.setattr(run_generation, "run", run)
    runner.run(job)
    assert finished == [None]
    again = Job.objects.get(pk=dead.pk)
    assert (again.status, again.attempt) == ("queued", 2)
