"""POST /api/jobs/<code>/cancel/."""

from benchmarks.harness.clients import make_job, make_training
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job


def cancel(client, code: str):
    return client.post(f"/api/jobs/{code}/cancel/")


def test_cancelling_a_waiting_job_ends_it_at_once(client, catalogue, settings):
    job = make_job()
    (settings.TMP_DATA_DIR / job.code).mkdir()  # of an earlier attempt
    answer = cancel(client, job.code)
    assert answer.status_code == 202 and answer.json()["status"] == "cancelled"
    assert answer.json()["finished_at"] and status_changes.claim(job.code) is None
    assert not list(settings.TMP_DATA_DIR.iterdir())


def test_cancelling_a_training_deletes_its_photos_at_once(client, transactional_db, photos, own_data_folder):
    job = make_training(photos)
    assert cancel(client, job.code).status_code == 202
    assert not list(own_data_folder.glob("photos/*"))


def test_a_running_job_is_taken_from_its_worker(client, catalogue):
    running = status_changes.claim(make_job().code)
    assert cancel(client, running.code).status_code == 202
    assert status_changes.is_lost(running) and not status_changes.fail(running, "step_failed", "late")
    assert Job.objects.get().status == "cancelled"


def test_a_finished_job_cannot_be_cancelled(client, catalogue):
    running = status_changes.claim(make_job().code)
    status_changes.fail(running, "step_failed", "no luck")
    answer = cancel(client, running.code)
    assert answer.status_code == 409 and answer.json()["detail"]
    assert Job.objects.get().status == "failed"


def test_an_unknown_code_is_not_found(client, transactional_db):
    assert cancel(client, "00000000").status_code == 404
    assert client.get("/api/jobs/00000000/cancel/").status_code == 405
