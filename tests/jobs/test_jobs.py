"""The life of a job: who wins a race, what is written, what an estimate is made of."""

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from benchmarks.harness.clients import make_job
from diffuser_api.jobs import queue, runner, status_changes, wake_up
from diffuser_api.models import Job, PoiImage


@pytest.fixture
def job(catalogue):
    return make_job()


@pytest.fixture
def wake_ups(monkeypatch) -> list[list[str]]:
    """The codes of the queued jobs that can be seen at each wake-up."""
    seen = []

    def notify(step):
        seen.append(list(Job.objects.filter(status="queued").values_list("code", flat=True)))

    monkeypatch.setattr(wake_up, "notify", notify)
    return seen


def test_a_new_job_is_queued_before_workers_are_woken(catalogue, wake_ups):
    job = make_job()
    assert Job.objects.get().status == "queued"
    assert wake_ups == [[job.code]]


def test_a_job_that_is_queued_again_wakes_workers_too(job, wake_ups):
    status_changes.requeue(status_changes.claim(job.code), attempt=2)
    assert wake_ups == [[job.code]]


def test_a_rolled_back_request_leaves_no_row_and_wakes_nobody(catalogue, wake_ups):
    with pytest.raises(RuntimeError), transaction.atomic():
        make_job()
        raise RuntimeError
    assert not Job.objects.exists() and wake_ups == []


def test_one_of_many_claims_wins(job):
    won = []

    def claim():
        won.append(status_changes.claim(job.code))
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 8 and sum(result is not None for result in won) == 1


def test_an_updates_condition_is_the_rows_own_so_that_no_two_of_them_win(job):
    """Of a condition in a subquery, PostgreSQL keeps the answer from before it waited for another UPDATE."""
    with CaptureQueriesContext(connection) as queries:
        running = status_changes.claim(job.code)
        status_changes.beat(running)
        status_changes.add_timing(running, {"step": "pose"})
        status_changes.requeue(running, attempt=2)
        status_changes.fail(status_changes.claim_next(), "step_failed", "for the test")
    updates = [query["sql"] for query in queries if query["sql"].startswith('UPDATE "diffuser_api_job"')]
    assert len(updates) >= 6 and not [sql for sql in updates if '"id" IN (SELECT' in sql]


def test_an_ended_job_stays_as_it_ended(job, tmp_path):
    running = status_changes.claim(job.code)
    assert status_changes.fail(running, "step_failed", "first")
    assert not status_changes.fail(running, "step_failed", "second")
    (tmp_path / "picture.png").write_bytes(b"x")
    assert not status_changes.finish_generation(running, tmp_path / "picture.png")
    assert Job.objects.get().error_message == "first" and not Job.objects.get().output


def test_a_queued_job_cannot_end(job):
    assert not status_changes.fail(job, "step_failed", "too early")
    assert Job.objects.get().status == "queued"


def test_progress_is_of_the_whole_job_and_written_twice_a_second_at_most(job):
    running = status_changes.claim(job.code)
    status_changes.progress(running, step="detail", index=2, done=5, of=10)
    assert Job.objects.get().progress == pytest.approx(1.5 / 4)
    status_changes.progress(running, step="detail", index=2, done=6, of=10)
    assert Job.objects.get().progress == pytest.approx(1.5 / 4)


def test_position_counts_the_jobs_before(job):
    second, third = make_job(), make_job()
    status_changes.claim(job.code)
    assert queue.position(Job.objects.get(pk=job.pk)) is None
    assert (queue.position(second), queue.position(third)) == (1, 2)


def test_the_first_job_of_a_server_is_estimated_by_its_own_pace(job):
    running = status_changes.claim(job.code)
    begun = timezone.now() - timedelta(seconds=100)
    Job.objects.filter(pk=running.pk).update(progress=0.05, started_at=begun)
    assert queue.eta_seconds(Job.objects.get(pk=job.pk)) is None
    Job.objects.filter(pk=running.pk).update(progress=0.25)
    assert 295 <= queue.eta_seconds(Job.objects.get(pk=job.pk)) <= 330


def test_the_estimate_is_learned_from_earlier_jobs(job):
    assert queue.eta_seconds(job) is None
    now = timezone.now()
    for seconds in (10, 20, 90):
        done = make_job()
        Job.objects.filter(pk=done.pk).update(
            status="succeeded", started_at=now - timedelta(seconds=seconds), finished_at=now
        )
    assert queue.eta_seconds(job) == 20
    last = make_job()
    assert queue.eta_seconds(last) == 40
    running = status_changes.claim(job.code)
    status_changes.progress(running, step="detail", index=2, done=10, of=10)
    assert queue.eta_seconds(Job.objects.get(pk=job.pk)) == 10


def test_a_job_whose_place_was_deleted_fails_with_a_reason(job, settings):
    PoiImage.objects.all().delete()
    runner.run(status_changes.claim(job.code))
    failed = Job.objects.get()
    assert failed.status == "failed" and "deleted" in failed.error_message
    assert not list(settings.TMP_DATA_DIR.iterdir())


def test_a_job_whose_model_is_missing_fails_with_a_reason(job, settings, monkeypatch, tmp_path):
    monkeypatch.setenv("CONTROLNET_MODEL", str(tmp_path / "nowhere"))
    runner.run(status_changes.claim(job.code))
    failed = Job.objects.get()
    assert (failed.status, failed.error_code) == ("failed", "step_failed")
    assert "nowhere" in failed.error_message
    assert not list(settings.TMP_DATA_DIR.iterdir())
