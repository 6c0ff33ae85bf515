"""The database is locked by another program, such as a backup: nothing is lost, and nobody waits long."""

import contextlib
import sqlite3
import threading

import pytest
import requests
from django.db import connection

from benchmarks.harness import running_worker
from benchmarks.harness.api_client import get_json, post_photos, wait_for
from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_catalogue, make_photos
from benchmarks.harness.clients import make_job, make_training
from benchmarks.harness.running_service import WISH
from benchmarks.harness.running_worker import wait_until
from diffuser_api.jobs import lease, run_training, runner, status_changes
from diffuser_api.models import Job
from diffuser_api.operations import database

SECONDS_LOCKED = 25  # longer than any process waits for a lock


@contextlib.contextmanager
def locked(path):
    """Nobody else can write. ``path``: SQLite's file, or another's name of the database."""
    if connection.vendor == "postgresql":
        import psycopg

        with psycopg.connect(running_worker.database_url(), autocommit=True) as other:
            other.execute("BEGIN")
            other.execute("LOCK TABLE diffuser_api_job, diffuser_api_loramodel IN ACCESS EXCLUSIVE MODE")
            yield other
            other.execute("ROLLBACK")
        return
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA busy_timeout = 20000")
        other.execute("BEGIN IMMEDIATE")
        yield other
        if other.in_transaction:
            other.execute("ROLLBACK")


@pytest.fixture
def short_waits(monkeypatch):
    monkeypatch.setattr(database, "SECONDS_FOR_A_LOCK", 0.1)
    database.wait_briefly()


@pytest.fixture
def catalogue(transactional_db):
    return make_catalogue()


def test_a_post_is_answered_503_with_retry_after(client, catalogue, short_waits):
    client.raise_request_exception = False
    with locked(connection.settings_dict["NAME"]):
        answer = client.post("/api/generate-image/", a_request(), "application/json")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json() == {"detail": database.TEXT}
    assert client.post("/api/generate-image/", a_request(), "application/json").status_code == 202


def test_an_error_outside_the_api_is_503_as_well(client, catalogue, short_waits):
    client.raise_request_exception = False
    job = make_job()
    with locked(connection.settings_dict["NAME"]):
        answer = client.post(f"/jobs/{job.code}/cancel/")
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert answer.json() == {"detail": database.TEXT}


def test_a_wrong_statement_is_no_locked_database(db):
    with (
        pytest.raises(Exception, match="no such table|does not exist") as caught,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM nowhere")
    assert not database.is_away(caught.value)


def run_locked(job: Job, monkeypatch, script: str, tmp_path) -> Job:
    """The job's run, while ``script`` stands in for the trainer and the database is locked until a write that
    must be made was refused."""
    launch = tmp_path / "launch.bash"
    launch.write_text(script)
    monkeypatch.setattr(run_training, "LAUNCH", launch)
    refused, really_away = [], database.is_away
    with locked(connection.settings_dict["NAME"]) as lock:

        def is_away(error):
            refused.append(error)
            if len(refused) == 3:
                lock.execute("ROLLBACK")
            return really_away(error)

        monkeypatch.setattr(database, "is_away", is_away)
        runner.run(job)
    assert len(refused) >= 3
    return Job.objects.get(pk=job.pk)


PROGRESS = """for done in 1 2 3 4; do echo '{"step": "train", "done": '$done', "of": 4}'; done\n"""


def test_a_training_whose_progress_cannot_be_written_keeps_its_photos(
    transactional_db, photos, short_waits, monkeypatch, tmp_path
):
    job = status_changes.claim(make_training(photos).code)
    killed = run_locked(job, monkeypatch, PROGRESS + "kill -9 $$\n", tmp_path)
    assert (killed.status, killed.attempt, killed.photos.count()) == ("queued", 2, 5)


def test_a_training_whose_end_cannot_be_written_at_once_fails_with_its_own_reason(
    transactional_db, photos, short_waits, monkeypatch, tmp_path
):
    job = status_changes.claim(make_training(photos).code)
    failed = run_locked(job, monkeypatch, PROGRESS + "echo no face >&2; exit 1\n", tmp_path)
    assert (failed.status, failed.error_message) == ("failed", "no face")


def test_a_job_is_tried_again_if_the_database_stays_away(transactional_db, photos, short_waits, monkeypatch):
    monkeypatch.setattr(lease, "SECONDS_TO_INSIST", 0.0)
    job = status_changes.claim(make_training(photos).code)
    with locked(connection.settings_dict["NAME"]) as lock:

        def end(*args):
            with pytest.raises(Exception, match="lock"):
                lease.insist(lambda: status_changes.issue_token(job))
            try:
                status_changes.issue_token(job)
            finally:
                lock.execute("ROLLBACK")

        monkeypatch.setattr(run_training, "run", end)
        runner.run(job)
    again = Job.objects.get(pk=job.pk)
    assert (again.status, again.attempt, again.photos.count()) == ("queued", 2, 5)


@pytest.fixture(scope="module")
def longer_than_the_lock():
    """Trainings that take somewhat longer than the database is locked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAINING_STEPS", "150")
        yield


def test_a_training_outlives_a_locked_database(family, longer_than_the_lock, server_and_worker):
    url = server_and_worker.url
    _, answer = post_photos(f"{url}/api/lora-training/", make_photos())
    wait_until(lambda: get_json(answer["status_url"])["progress"] > 0)
    over = threading.Event()
    with locked(server_and_worker.folder / "data" / "db.sqlite3"):
        asked = requests.post(f"{url}/api/generate-image/", json=WISH, timeout=15)
        assert (asked.status_code, asked.headers["Retry-After"]) == (503, "5")
        over.wait(SECONDS_LOCKED)
        assert get_json(answer["status_url"])["status"] == "running"
    last = wait_for(answer["status_url"], 300)[-1]
    assert last["status"] == "succeeded"
