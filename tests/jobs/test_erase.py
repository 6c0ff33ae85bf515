"""An erased face is gone with the answer: no request that races the erasure keeps it or brings it back."""

import subprocess
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.signals import pre_delete
from django.test import Client as Browser
from django.utils import timezone
from PIL import Image

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_job, make_lora, make_picture, make_training
from diffuser_api.jobs import deletion, lora_file, orders, runner, status_changes, sweep
from diffuser_api.jobs.orders import TrainingOrder
from diffuser_api.models import Job, LoraModel
from diffuser_api.photos.gate import Seen
from diffuser_api.photos.pictures import as_png
from generation import training_set
from studio import sharing

LORA = "12345678"
sqlite_only = pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL's vacuum comes later")
FACE = [0.123456789012, *[0.5] * 127]  # as numbers


@pytest.fixture
def lora(catalogue, settings):
    settings.ADDRESS_RATE, settings.MAX_JOBS_WAITING = (0, 60), 10_000
    made = make_lora(LORA)
    made.faces = [FACE] * 5
    made.save()
    return made


def ask(browser=None) -> dict:
    body = a_request(selected_lora=LORA)
    answer = (browser or Browser()).post("/api/generate-image/", body, "application/json")
    assert answer.status_code == 202
    return answer.json()


def erase() -> None:
    assert Browser().delete(f"/api/loras/{LORA}/").status_code == 204


def with_face() -> list[str]:
    """Jobs that have the face, had it, or were to have it."""
    return [job.code for job in Job.objects.all() if "face" in job.steps or job.lora_id]


class Crowd:
    """Threads that do ``work`` again and again, until the block ends; what it returns is in ``results``."""

    def __init__(self, *work, threads: int = 3) -> None:
        self.over, self.results, self.work = threading.Event(), [], work * threads
        self.threads = [threading.Thread(target=self._run, args=(one,)) for one in self.work]

    def _run(self, work) -> None:
        try:
            while not self.over.is_set():
                self.results.append(work())
        finally:
            connection.close()

    def go_on(self, times: int) -> None:
        """Until so much more work is done."""
        wanted, end = len(self.results) + times, time.monotonic() + 120
        while len(self.results) < wanted:
            assert time.monotonic() < end, "the crowd stands still"
            time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_pictures_asked_for_while_their_face_is_erased_do_not_outlive_it(lora):
    for _ in range(40):
        make_job(lora=lora)
    with Crowd(ask) as crowd:
        crowd.go_on(5)
        erase()
        left = with_face()
        crowd.go_on(5)
    asked_with_face = {answer["code"] for answer in crowd.results if answer["lora_used"]}
    assert asked_with_face and left == with_face() == []
    assert not asked_with_face & set(Job.objects.values_list("code", flat=True))
    assert not ask()["lora_used"]


def test_a_picture_that_finishes_while_its_face_is_erased_is_not_stored(lora, tmp_path):
    for _ in range(40):
        make_job(lora=lora)
    (tmp_path / "picture.png").write_bytes(b"the face")

    def paint():
        job = status_changes.claim_next()
        return job and status_changes.finish_generation(job, tmp_path / "picture.png")

    with Crowd(paint) as crowd:
        crowd.go_on(5)
        erase()
        left = default_storage.listdir("outputs")[1]
    assert any(crowd.results) and left == default_storage.listdir("outputs")[1] == []


def test_a_job_that_runs_with_an_erased_face_is_lost_at_once_and_waiting_ones_are_not_claimed(lora):
    running, waiting = status_changes.claim(make_job(lora=lora).code), make_job(lora=lora)
    LoraModel.objects.update(is_erased=True)
    assert (
        status_changes.is_lost(running)
        and status_changes.claim_next() is status_changes.claim(waiting.code) is None
    )


def test_a_picture_whose_face_was_erased_is_not_run_again(lora):
    job = make_job(lora=lora)
    LoraModel.objects.update(is_erased=True)
    with pytest.raises(orders.CantRunAgain, match="LoRA was deleted"):
        orders.order_again(Job.objects.get(pk=job.pk), 1)


def test_an_erasure_whose_process_died_is_ended_by_the_next_sweep(lora, tmp_path):
    picture = make_picture(tmp_path)
    job = make_job(lora=lora)
    LoraModel.objects.update(is_erased=True)
    sweep.sweep()
    assert not LoraModel.with_erased.exists() and not default_storage.listdir("loras")[1]
    assert [row.code for row in Job.objects.all()] == [picture.code] != [job.code]


def test_a_small_copy_that_is_stored_in_the_middle_of_a_deletion_is_gone_too(catalogue, tmp_path):
    """The deletion has read the row, and is about to delete it, when the copy is made."""
    (tmp_path / "picture.png").write_bytes(as_png(Image.new("RGB", (64, 64))))
    job = status_changes.claim(make_job().code)
    assert status_changes.finish_generation(job, tmp_path / "picture.png")
    Job.objects.update(shared_until=timezone.now() + timedelta(days=1))
    answers = []

    def look(row):
        try:
            answers.append(sharing.small(row))
        except OSError as error:
            answers.append(error)
        finally:
            connection.close()

    friend = threading.Thread(target=look, args=[Job.objects.get(pk=job.pk)])

    def meanwhile(**_):
        friend.start()
        friend.join(1)  # it waits for the deletion; a request does so for two seconds

    pre_delete.connect(meanwhile, sender=Job)
    try:
        assert deletion.delete(job.code, "somebody")
    finally:
        pre_delete.disconnect(meanwhile, sender=Job)
        friend.join()
    assert len(answers) == 1 and isinstance(answers[0], FileNotFoundError)
    assert default_storage.listdir("shared")[1] == default_storage.listdir("outputs")[1] == []


def test_an_expired_face_takes_its_pictures_along(lora, tmp_path, settings):
    settings.KEEP_LORAS_DAYS = 1
    (tmp_path / "picture.png").write_bytes(b"the face")
    painted = status_changes.claim(make_job(lora=lora).code)
    assert status_changes.finish_generation(painted, tmp_path / "picture.png")
    LoraModel.objects.update(created_at="2020-01-01T00:00Z")
    deletion.delete_expired()
    assert not Job.objects.exists() and not default_storage.listdir("outputs")[1]
    assert connection.vendor != "sqlite" or not in_database(FACE[0])


@pytest.mark.parametrize("asked_in_time", [True, False])
def test_an_expired_face_waits_only_for_pictures_that_were_asked_for_before(lora, settings, asked_in_time):
    settings.KEEP_LORAS_DAYS = 1
    job = make_job(lora=lora)
    LoraModel.objects.update(created_at="2020-01-01T00:00Z")
    if asked_in_time:
        Job.objects.update(created_at="2020-01-01T12:00Z")
    deletion.delete_expired()
    assert LoraModel.objects.exists() == asked_in_time == Job.objects.filter(code=job.code).exists()
    status_changes.cancel(job.code)
    deletion.delete_expired()
    assert not LoraModel.objects.exists()


def in_database(content: str | float) -> str:
    """Files of the database in which these words, or a face's number, are still to be read. By another
    process: closing a file of SQLite's here would drop the locks that this process has on it."""
    file = Path(connection.settings_dict["NAME"])
    files = [str(path) for path in file.parent.glob(f"{file.name}*")]
    return subprocess.run(["grep", "-lF", str(content), *files], stdout=subprocess.PIPE, text=True).stdout


@sqlite_only
def test_an_erased_faces_numbers_are_in_no_page_of_the_database_though_others_read(lora):
    assert in_database(FACE[0])

    def look():
        return Browser().get("/api/jobs/00000000/").status_code

    with Crowd(look, ask):
        erase()
        assert not in_database(FACE[0])


@sqlite_only
def test_cancelling_a_waiting_training_leaves_no_face_in_the_database(transactional_db, photos):
    seen = [Seen(clean=photo, embedding=FACE, skin=[1, 2, 3]) for photo in photos]
    job = orders.create_job(TrainingOrder(photos=seen))
    assert in_database(FACE[0])
    assert Browser().post(f"/api/jobs/{job.code}/cancel/").status_code == 202
    assert not in_database(FACE[0])


def test_cancelling_a_training_while_its_photos_are_laid_out_logs_no_error(
    transactional_db, photos, caplog, monkeypatch
):
    job = status_changes.claim(make_training(photos).code)
    real = training_set.write

    def cancelled_meanwhile(*args):
        status_changes.cancel(job.code)
        return real(*args)

    monkeypatch.setattr(training_set, "write", cancelled_meanwhile)
    runner.run(job)
    assert "broken off" in caplog.text
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_lora_that_is_erased_between_two_looks_at_it_is_gone(lora):
    """An order looks again when the face was erased while it was saved."""
    assert lora_file.misfit(lora) is None
    default_storage.delete(lora.file.name)
    assert lora_file.misfit(lora).code == "damaged"
