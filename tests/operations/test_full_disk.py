"""A full disk: 507 that says what to do, a job that fails of it and says so, no half file; and it goes on.

benchmarks/full_disk.py fills the disks of running processes.
"""

import subprocess
from collections import namedtuple

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_job
from benchmarks.harness.small_disks import full, small_disk
from diffuser_api.jobs import orders, runner, status_changes
from diffuser_api.models import Job
from diffuser_api.operations import disk

URL = "/api/generate-image/"


@pytest.fixture
def working_disk(settings):
    """Of the working files."""
    try:
        settings.MIN_FREE_MB = 0
        with small_disk(settings.TMP_DATA_DIR, 4):
            yield settings.TMP_DATA_DIR
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a small disk can't be mounted here: {error}")


def test_too_little_room_refuses_jobs_before_the_disk_is_full(client, catalogue, photos, settings):
    settings.MIN_FREE_MB = 2**40
    picture = client.post(URL, a_request(), "application/json")
    files = [ContentFile(photo, name=f"{number}.png") for number, photo in enumerate(photos)]
    training = client.post("/api/lora-training/", {"images": files})
    for answer in (picture, training):
        assert answer.status_code == 507 and answer.json() == {"detail": disk.TEXT}
    assert not Job.objects.exists() and not default_storage.exists("photos")
    assert "MIN_FREE_MB" in client.get("/readyz").json()["disk"]


def test_of_two_disks_with_equally_named_folders_both_are_looked_at(settings, tmp_path, monkeypatch):
    free = {"a": 10 * 2**20, "b": 2**40, "c": 2**40}
    for name, setting in zip(free, ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR"), strict=True):
        setattr(settings, setting, tmp_path / name / "cartolina")
    usage = namedtuple("usage", ["free"])
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda folder: usage(free[folder.parent.name]))
    assert "10 MB free for cartolina" in disk.problem()


def test_a_full_database_answers_as_a_full_disk(client, catalogue, settings):
    """SQLite's own limit of pages says the same as a disk that has no more."""
    settings.MAX_JOBS_WAITING = 100_000  # earlier tests may have left free pages for hundreds of rows
    client.raise_request_exception = False
    with connection.cursor() as cursor:
        pages = cursor.execute("PRAGMA page_count").fetchone()[0]
        cursor.execute(f"PRAGMA max_page_count = {pages}")
    make_the_last_page_full()
    try:
        answer = client.post(URL, a_request(), "application/json")
        assert answer.status_code == 507 and answer.json() == {"detail": disk.TEXT}
    finally:
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 4294967294")
    assert client.post(URL, a_request(), "application/json").status_code == 202


def make_the_last_page_full():
    with pytest.raises(Exception, match="full"):
        while True:
            make_job()


def test_an_error_that_is_no_full_disk_answers_500(client, catalogue, monkeypatch):
    client.raise_request_exception = False
    monkeypatch.setattr(orders, "create_job", lambda order: 1 / 0)
    assert client.post(URL, a_request(), "application/json").status_code == 500


def test_a_file_that_finds_no_room_is_removed(working_disk, settings):
    settings.MEDIA_ROOT = working_disk
    with pytest.raises(OSError, match="No space left"):
        default_storage.save("outputs/1.png", ContentFile(bytes(8 * 2**20)))
    assert not default_storage.exists("outputs/1.png")
    default_storage.save("outputs/1.png", ContentFile(bytes(2**20)))


def test_a_photo_that_finds_no_room_is_refused_with_507(client, catalogue, photos, working_disk):
    client.raise_request_exception = False
    with full(working_disk):
        answer = client.post("/api/photos/check/", {"image": ContentFile(photos[0], name="1.png")})
        assert answer.status_code == 507 and answer.json() == {"detail": disk.TEXT}
    assert (
        client.post("/api/photos/check/", {"image": ContentFile(photos[0], name="1.png")}).status_code == 200
    )


def test_a_job_that_finds_no_room_fails_and_leaves_no_folder(catalogue, working_disk):
    job = status_changes.claim(make_job().code)
    with full(working_disk):
        runner.run(job)
    failed = Job.objects.get()
    assert (failed.status, failed.error_code) == ("failed", "disk_full")
    assert failed.error_message.startswith(disk.TEXT)
    assert not list(working_disk.iterdir())
