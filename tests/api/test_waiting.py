"""Prefer: wait=N: 201 when the job is done in time, else 202; and who waits doesn't keep others waiting."""

import threading
import time

import pytest
from django.db import connection
from django.test import Client

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.running_worker import wait_until
from diffuser_api.api import waiting
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job

URL = "/api/generate-image/"


def ask(prefer: str):
    answer = Client().post(URL, a_request(), "application/json", headers={"Prefer": prefer})
    connection.close()
    return answer


def end_the_next_job(how) -> threading.Thread:
    """As a worker would, while the request waits."""

    def work():
        while not (job := Job.objects.filter(status="queued").first()):
            time.sleep(0.05)
        how(status_changes.claim(job.code))
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_job_that_is_done_in_time_is_answered_with_201(catalogue, tmp_path):
    (tmp_path / "picture.png").write_bytes(b"x")
    worker = end_the_next_job(lambda job: status_changes.finish_generation(job, tmp_path / "picture.png"))
    answer = ask("wait=30")
    worker.join()
    assert answer.status_code == 201 and answer.json()["status"] == "succeeded"
    assert Client().get(answer.json()["output_url"]).status_code == 200


def test_a_job_that_fails_meanwhile_is_answered_with_202_and_says_so(catalogue):
    worker = end_the_next_job(lambda job: status_changes.fail(job, "step_failed", "no luck"))
    answer = ask("respond-async, wait=30")
    worker.join()
    assert answer.status_code == 202 and answer.json()["status"] == "failed"


def test_a_job_that_takes_longer_is_answered_with_202(catalogue):
    answer = ask("wait=1")
    assert answer.status_code == 202 and answer.json()["status"] == "queued"


@pytest.mark.parametrize(
    "prefer", ["", "wait", "wait=-5", "wait=soon", "waiting=60", "wait=0", "respond-async"]
)
def test_a_malformed_or_zero_wait_is_answered_at_once(prefer, catalogue):
    assert ask(prefer).status_code == 202


def test_with_all_waiting_places_taken_a_request_is_answered_at_once(catalogue, settings):
    """All places are taken by clients who wait long: the next one is answered at once."""
    threads = [threading.Thread(target=ask, args=["wait=20"]) for _ in range(settings.WAITING_REQUESTS)]
    for thread in threads:
        thread.start()
    wait_until(lambda: not waiting._room._value)
    assert ask("wait=60").status_code == 202
    assert all(thread.is_alive() for thread in threads)
    for code in Job.objects.values_list("code", flat=True):
        status_changes.cancel(code)
    for thread in threads:
        thread.join()
    assert waiting._room._value == settings.WAITING_REQUESTS
