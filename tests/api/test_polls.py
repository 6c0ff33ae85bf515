"""A poll costs little: few SQL statements, and no body for an answer that the client has already."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from drf_spectacular.renderers import OpenApiYamlRenderer

from benchmarks.harness.catalogue import make_catalogue, make_photos
from benchmarks.harness.clients import make_client, make_job, make_order, make_training
from diffuser_api.api import docs_page
from diffuser_api.jobs import choosing, orders, queue, status_changes
from diffuser_api.models import Job

MOST_STATEMENTS = 3


@pytest.fixture
def catalogue(db):
    return make_catalogue()


@pytest.fixture
def owner(catalogue, settings):
    settings.OPEN_API = False
    return make_client("owner")


def poll(client, code: str, headers: dict, etag: str = "", **more: str):
    known = {"If-None-Match": etag} if etag else {}
    return client.get(f"/api/jobs/{code}/", headers=headers | known | more)


def with_a_likeness(job: Job) -> Job:
    running = status_changes.claim(job.code)
    status_changes.add_timing(running, {"step": "face", "likeness": {"face": True, "distance": 0.3}})
    return running


def made(kind: str, owner) -> Job:
    if kind == "training":
        return make_training(make_photos(), owner)
    job = orders.create_job(make_order(client=owner, candidates=3 if kind == "one of three" else 1))
    if kind in ("running", "finished"):
        running = with_a_likeness(job)
        if kind == "finished":
            status_changes.fail(running, "step_failed", "for the test")
    return job


@pytest.mark.parametrize("kind", ["queued", "one of three", "running", "finished", "training"])
def test_a_poll_takes_at_most_three_statements(client, owner, monkeypatch, kind):
    job = made(kind, owner[0])
    monkeypatch.setattr(queue, "OUTLOOK_SECONDS", 60.0)
    first = poll(client, job.code, owner[1])  # may be the one that looks at the queue for all others
    with CaptureQueriesContext(connection) as whole:
        assert poll(client, job.code, owner[1]).json() == first.json()
    with CaptureQueriesContext(connection) as unchanged:
        assert poll(client, job.code, owner[1], first["ETag"]).status_code == 304
    for asked in (whole, unchanged):
        assert len(asked) <= MOST_STATEMENTS, [query["sql"] for query in asked]


def test_one_look_at_the_queue_serves_all_who_wait(client, owner, monkeypatch):
    codes = [make_job(owner[0]).code for _ in range(5)]
    monkeypatch.setattr(queue, "OUTLOOK_SECONDS", 60.0)
    monkeypatch.setattr(queue, "_kept", None)
    with CaptureQueriesContext(connection) as asked:
        positions = [poll(client, code, owner[1]).json()["position"] for code in codes]
    assert positions == [0, 1, 2, 3, 4]
    assert sum("diffuser_api_worker" in query["sql"] for query in asked) == 1


def test_a_job_that_is_newer_than_the_look_comes_last_until_the_next_one(client, owner, monkeypatch):
    make_job(owner[0])
    monkeypatch.setattr(queue, "OUTLOOK_SECONDS", 60.0)
    monkeypatch.setattr(queue, "NEW_SECONDS", 60.0)
    monkeypatch.setattr(queue, "_kept", None)
    queue.recent_outlook(make_job(owner[0]))
    newcomer, headers = make_client("newcomer")
    job = make_job(newcomer)
    told = poll(client, job.code, headers).json()
    assert (told["position"], told["eta_seconds"]) == (2, None)
    monkeypatch.setattr(queue, "NEW_SECONDS", 0.0)
    assert poll(client, job.code, headers).json()["position"] == 1  # clients take turns


def test_an_unchanged_job_is_answered_without_a_body_and_a_changed_one_with_all_of_it(client, owner):
    first, job = make_job(owner[0]), make_job(owner[0])
    changes = {
        "one before it is cancelled": lambda: status_changes.cancel(first.code),
        "it begins": lambda: running.append(status_changes.claim(job.code)),
        "it goes on": lambda: status_changes.progress(running[0], step="pose", done=1, of=4),
        "a step ends": lambda: status_changes.add_timing(running[0], {"step": "pose"}),
        "it fails": lambda: status_changes.fail(running[0], "step_failed", "for the test"),
    }
    running, etag = [], poll(client, job.code, owner[1])["ETag"]
    for name, change in changes.items():
        same = poll(client, job.code, owner[1], etag)
        assert (same.status_code, same.content, same["ETag"]) == (304, b"", etag), name
        change()
        news = poll(client, job.code, owner[1], etag)
        assert news.status_code == 200 and news["ETag"] != etag, name
        etag = news["ETag"]


def test_a_candidate_whose_sibling_is_deleted_has_changed(client, owner):
    job = made("one of three", owner[0])
    etag = poll(client, job.code, owner[1])["ETag"]
    sibling = choosing.candidates(job).last()
    client.delete(f"/api/jobs/{sibling.code}/", headers=owner[1])
    assert poll(client, job.code, owner[1], etag).status_code == 200


def test_an_answer_in_another_language_is_another_answer(client, owner):
    job = made("running", owner[0])
    etag = poll(client, job.code, owner[1])["ETag"]
    told = poll(client, job.code, owner[1], etag, **{"Accept-Language": "it"})
    assert told.status_code == 200 and told.json()["likeness"]["message"]


def test_an_etag_opens_nobody_elses_job(client, owner):
    job = made("running", owner[0])
    etag = poll(client, job.code, owner[1])["ETag"]
    _, other = make_client("other")
    assert poll(client, job.code, other, etag).status_code == 404
    assert poll(client, job.code, {}, etag).status_code == 401


def test_the_page_of_the_api_is_made_once_and_sent_once_to_a_browser(client, db, monkeypatch):
    first = client.get("/api/docs/")
    monkeypatch.setattr(docs_page, "calls", None)
    assert client.get("/api/docs/").content == first.content
    again = client.get("/api/docs/", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_the_schema_is_written_once_and_errors_each_time(client, db, monkeypatch):
    first = client.get("/api/schema/")
    refused = client.post("/api/schema/")
    assert refused.status_code == 405 and b"openapi" not in refused.content
    monkeypatch.setattr(OpenApiYamlRenderer, "render", None)
    assert client.get("/api/schema/").content == first.content
