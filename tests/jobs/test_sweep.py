"""What a crash leaves: dead workers' jobs and processes, ownerless folders and files."""

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils import timezone

from benchmarks.harness import ROOT, running_worker
from benchmarks.harness.clients import make_job
from diffuser_api.jobs import folders, processes, status_changes, sweep
from diffuser_api.models import Job
from diffuser_api.operations import workers


@pytest.fixture
def dead_worker() -> str:
    """The name of a process that has died."""
    process = subprocess.Popen(["sleep", "60"])
    name = processes.name(process.pid)
    process.kill()
    process.wait()
    return name


@pytest.fixture
def job(catalogue):
    return make_job()


def given_to(worker: str, job: Job, **fields) -> Job:
    """The job as a worker that died has left it."""
    status_changes.claim(job.code)
    Job.objects.filter(pk=job.pk).update(worker=worker, **fields)
    return Job.objects.get(pk=job.pk)


def test_a_dead_workers_job_is_queued_again(job, dead_worker):
    given_to(dead_worker, job)
    sweep.sweep()
    again = Job.objects.get()
    assert (again.status, again.attempt, again.worker) == ("queued", 2, "")
    assert status_changes.claim_next().code == job.code


def test_after_three_attempts_it_fails_with_a_reason_and_others_go_on(job, dead_worker):
    other = make_job()
    given_to(dead_worker, job, attempt=3, step="detail")
    sweep.sweep()
    failed = Job.objects.get(pk=job.pk)
    assert (failed.status, failed.error_code) == ("failed", "worker_died")
    assert "in step detail" in failed.error_message and "3 attempts" in failed.error_message
    assert Job.objects.get(pk=other.pk).status == "queued" and status_changes.claim_next().code == other.code


def test_a_living_workers_job_is_left_alone(job):
    with subprocess.Popen(["sleep", "60"]) as living:
        worker = processes.name(living.pid)
        given_to(worker, job)
        sweep.sweep()
        assert Job.objects.get().status == "running" and status_changes.claim_next() is None
        living.kill()


@pytest.mark.parametrize("minutes", [5, -5])
def test_a_machine_whose_clock_is_wrong_leaves_the_jobs_of_others_alone(minutes, job, monkeypatch):
    given_to("ffffffff-1-1-1", job)
    right = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: right() + timedelta(minutes=minutes))
    sweep.end_dead_runs()
    assert Job.objects.get().status == "running"


def test_a_heartbeat_of_a_machine_whose_clock_is_wrong_is_of_now(job, monkeypatch):
    right = timezone.now
    with monkeypatch.context() as patch:
        patch.setattr(timezone, "now", lambda: right() - timedelta(minutes=5))
        claimed = status_changes.claim(job.code)
    assert abs(claimed.heartbeat_at - right()) < timedelta(minutes=2) > abs(claimed.started_at - right())


def test_a_job_that_its_worker_has_dropped_is_queued_again(job):
    """Its last word could not be written, say, while the database was locked."""
    mine = status_changes.claim(job.code)
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=300))
    sweep.sweep()
    assert status_changes.is_lost(mine) and Job.objects.get().status == "queued"


def test_a_worker_elsewhere_is_known_by_its_heartbeat(job):
    elsewhere = "ffffffff-1-1-1"
    given_to(elsewhere, job, heartbeat_at=timezone.now() - timedelta(seconds=10))
    sweep.sweep()
    assert Job.objects.get().status == "running"
    Job.objects.update(heartbeat_at=timezone.now() - timedelta(seconds=60))
    sweep.sweep()
    assert Job.objects.get().status == "queued" and status_changes.claim_next().code == job.code


def test_a_worker_elsewhere_that_died_before_the_clock_was_set_back_is_dead(job):
    given_to("ffffffff-1-1-1", job, heartbeat_at=timezone.now() + timedelta(hours=24))
    sweep.sweep()
    assert Job.objects.get().status == "queued"


def test_a_pid_that_is_used_again_is_not_the_worker():
    here = processes.name()
    assert processes.is_alive(here) and not processes.is_alive(here + "0")


def test_a_dead_workers_processes_end_and_others_do_not(dead_worker, transactional_db):
    stubborn = ["bash", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    marked = [
        subprocess.Popen(["sleep", "60"], env=os.environ | {processes.MARK: dead_worker}),
        subprocess.Popen(stubborn, env=os.environ | {processes.MARK: dead_worker}),
    ]
    living = [
        subprocess.Popen(["sleep", "60"], env=os.environ | processes.mark()),
        subprocess.Popen(["sleep", "60"]),
    ]
    try:
        sweep.sweep()
        assert [process.wait(5) for process in marked] == [-15, -9]
        assert [process.poll() for process in living] == [None, None]
    finally:
        for process in marked + living:
            process.kill()
            process.wait()


PLACES = (folders.generation_folder, folders.training_input, folders.training_output)


def make_working_folders(code: str) -> list[Path]:
    made = [folders.make(place(code)) for place in PLACES]
    for folder in made:
        (folder / "face.png").write_bytes(b"x")
    return made


def test_folders_of_no_job_are_removed_and_others_stay(job):
    kept = make_working_folders(job.code)
    make_working_folders("00000000")
    for place in PLACES:  # of launch.bash, or the generator, run by hand
        place("11111111").mkdir()
    sweep.sweep()
    for folder in kept:
        assert sorted(path.name for path in folder.parent.iterdir() if path.is_dir()) == sorted(
            [job.code, "11111111"]
        )
    assert all((folder / "face.png").exists() for folder in kept)


SWEEP = """
import django
django.setup()
from diffuser_api.jobs import sweep
sweep.sweep()
sweep.remove_files(writing_seconds=0)
"""


def sweep_by_another_installation(database: Path, **environment: str) -> None:
    own = running_worker.environment() | {"DATABASE_URL": f"sqlite:///{database}"} | environment
    for command in (["manage.py", "migrate", "--verbosity", "0"], ["-c", SWEEP]):
        subprocess.run([sys.executable, *command], cwd=ROOT, env=own, check=True)


@pytest.mark.slow
def test_a_second_service_of_one_checkout_leaves_the_firsts_trainings_alone(job, tmp_path):
    """Its DATA_DIR is another, its working folders lie in the same places."""
    kept = make_working_folders(job.code)
    sweep_by_another_installation(tmp_path / "second.sqlite3", DATA_DIR=str(tmp_path / "second"))
    assert all((folder / "face.png").exists() for folder in kept)


@pytest.mark.slow
def test_a_second_database_on_one_data_dir_leaves_the_firsts_files_alone(job, tmp_path):
    kept = make_working_folders(job.code)
    stored = default_storage.save("outputs/kept.png", ContentFile(b"x"))
    Job.objects.update(output=stored)
    sweep.sweep()
    sweep_by_another_installation(tmp_path / "second.sqlite3")
    assert default_storage.exists(stored) and all((folder / "face.png").exists() for folder in kept)


def test_old_files_of_no_row_are_removed(job, own_data_folder):
    kept = default_storage.save("outputs/kept.png", ContentFile(b"x"))
    kept_small = default_storage.save("shared/kept.jpg", ContentFile(b"x"))
    Job.objects.update(output=kept, shared_small=kept_small)
    of_pictures = ("outputs/1.png", "bodies/1.png", "shared/1.jpg")
    for name in (*of_pictures, "loras/1.safetensors", "photos/1.jpg", "pois/1.png"):
        default_storage.save(name, ContentFile(b"x"))
    sweep.sweep()
    assert default_storage.exists("photos/1.jpg")
    sweep.remove_files(writing_seconds=0)
    left = {str(path.relative_to(own_data_folder)) for path in own_data_folder.rglob("1.*")}
    assert left == {"pois/1.png"} and all(map(default_storage.exists, (kept, kept_small)))


def test_a_run_whose_job_was_given_away_writes_nothing(job, dead_worker, tmp_path):
    mine = given_to(dead_worker, job)
    sweep.sweep()
    theirs = status_changes.claim(job.code)
    (tmp_path / "picture.png").write_bytes(b"x")
    assert status_changes.is_lost(mine) and not status_changes.is_lost(theirs)
    assert not status_changes.fail(mine, "step_failed", "late") and not status_changes.finish_generation(
        mine, tmp_path / "picture.png"
    )
    assert Job.objects.get().status == "running" and not default_storage.exists("outputs")


def test_of_several_workers_one_searches_the_bucket_and_the_next_when_it_is_gone(
    transactional_db, settings, monkeypatch
):
    settings.BUCKET, searched = True, []
    monkeypatch.setattr(sweep, "remove_files", lambda: searched.append(processes.name()))
    for name in ("first", processes.name(), "third"):
        workers.register(name, workers.ALL_STEPS)

    def sweep_as_a_new_process():
        monkeypatch.setattr(sweep, "_next_look", 0.0)
        sweep.sweep()
        return searched

    assert sweep_as_a_new_process() == []
    workers.Worker.objects.filter(name="first").update(seen_at=timezone.now() - timedelta(minutes=3))
    assert sweep_as_a_new_process() == [processes.name()]
    workers.leave(processes.name())
    assert sweep_as_a_new_process() == [processes.name()]
