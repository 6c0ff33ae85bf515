"""The audit log: what it tells, what it never holds, and how long it is kept."""

import json
from datetime import timedelta

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client as Browser
from django.utils import timezone

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import CONSENT, make_client, make_job, make_lora, make_picture, make_training
from diffuser_api import audit, wording
from diffuser_api.jobs import choosing, deletion, orders, status_changes, sweep
from diffuser_api.models import AuditEntry, Job
from tests.studio.test_studio_visitors import ask, come, open_studio, wish  # noqa: F401


@pytest.fixture
def catalogue(db):
    return make_catalogue()


def told() -> list[tuple[str, ...]]:
    """The oldest first."""
    return list(AuditEntry.objects.order_by("pk").values_list("event", "what", "code", "by", "reason"))


def test_a_picture_s_life_is_told_with_its_client_and_code(catalogue, tmp_path):
    client, token = make_client("anna's desk")
    job = make_picture(tmp_path, client, "visitor-7")
    Browser(headers=token).delete(f"/api/jobs/{job.code}/")
    by = "client anna's desk"
    assert told() == [("made", "generation", job.code, by, ""), ("erased", "generation", job.code, by, "")]


def test_a_trained_face_is_told(catalogue, photos):
    client, _ = make_client("desk")
    training = status_changes.claim(make_training(photos, client).code)
    assert status_changes.finish_training(training, b"weights")
    assert told() == [("made", "training", training.code, "client desk", "")]


def test_who_erased_is_told_apart(transactional_db, catalogue, tmp_path, admin_client):
    by_staff, down, old = (make_picture(tmp_path) for _ in range(3))
    admin_client.post(f"/admin/diffuser_api/job/{by_staff.pk}/delete/", {"post": "yes"})
    call_command("takedown", down.code)
    Job.objects.filter(pk=old.pk).update(finished_at=timezone.now() - timedelta(days=99))
    deletion.delete_expired()
    assert [(event, code, by) for event, _, code, by, _ in told()[3:]] == [
        ("erased", by_staff.code, "staff admin"),
        ("taken_down", down.code, "operator"),
        ("erased", old.code, "age"),
    ]


def test_a_face_is_erased_with_its_pictures_and_each_of_them_is_told(catalogue):
    client, token = make_client("desk")
    lora = make_lora("12345678", client)
    job = make_job(client, lora=lora)
    assert Browser(headers=token).delete("/api/loras/12345678/").status_code == 204
    assert {(what, code) for event, what, code, _, _ in told() if event == "erased"} == {
        ("training", "12345678"),
        ("generation", job.code),
    }


def test_candidates_that_were_not_kept_are_told_as_such(catalogue, tmp_path):
    job, other = make_picture(tmp_path), make_picture(tmp_path)
    Job.objects.update(group=job.code)
    choosing.keep(Job.objects.get(pk=job.pk))
    assert told()[-1] == ("erased", "generation", other.code, audit.NOT_CHOSEN, "")


SECRET = "nackt und 0.123456789012"  # words of a visitor, which are refused


def test_refused_words_are_told_by_their_intent_alone_on_every_road(catalogue):
    client, token = make_client("desk")
    body = a_request(other_details=SECRET)
    assert Browser(headers=token).post("/api/generate-image/", body, "application/json").status_code == 400
    anna, _, _ = come()
    assert anna.post("/postcard/", wish(catalogue, clothes=SECRET)).status_code == 400
    assert anna.get("/postcard/figure/", {"words": SECRET}).status_code == 200  # only typed, not asked for
    assert told() == [
        ("refused", "generation", "", f"client {name}", "words_nudity")
        for name in ("desk", "studio visitors")
    ]


def test_a_request_with_a_wrong_field_is_no_refusal(catalogue):
    _, token = make_client("desk")
    body = a_request(age="12")
    assert Browser(headers=token).post("/api/generate-image/", body, "application/json").status_code == 400
    assert told() == []


def test_an_older_picture_whose_words_are_refused_today_is_told_too(catalogue):
    job = make_job()
    Job.objects.update(parameters=job.parameters | {"other_details": SECRET})
    with pytest.raises(wording.WordsRefused):
        orders.create_job(orders.order_again(Job.objects.get(pk=job.pk), 1))
    assert told() == [("refused", "generation", "", "open API", "words_nudity")]


def test_refused_photos_and_a_refused_picture_are_told(catalogue):
    anna, _, _ = come()
    assert anna.post("/you/", CONSENT).status_code == 400
    assert told()[-1] == ("refused", "training", "", "client studio visitors", "wrong_count")
    _, token = make_client("desk")
    assert Browser(headers=token).post("/api/lora-training/", {}).status_code == 400
    assert told()[-1] == ("refused", "training", "", "client desk", "wrong_count")
    job = status_changes.claim(make_job().code)
    status_changes.fail(job, "picture_refused", "nudity")
    assert told()[-1] == ("refused", "generation", job.code, "open API", audit.SAFETY)
    other = status_changes.claim(make_job().code)
    status_changes.fail(other, "step_failed", "x")
    assert told()[-1][2] == job.code


def test_nothing_of_a_visitor_is_in_the_log(catalogue, tmp_path):
    client, token = make_client("desk")
    body = a_request(other_details=SECRET)
    headers = token | {"X-Visitor": "visitor-7", "X-Visitor-Address": "203.0.113.9"}
    Browser(headers=headers).post("/api/generate-image/", body, "application/json")
    make_picture(tmp_path, client, "visitor-7")
    dump = serializers.serialize("json", AuditEntry.objects.all())
    assert len(json.loads(dump)) == 2
    for needle in ("nackt", "0.123456789012", "visitor-7", "203.0.113", "coat", "127.0.0.1"):
        assert needle not in dump, needle


def test_one_client_does_not_fill_the_log_with_refusals(catalogue, monkeypatch):
    monkeypatch.setattr(audit, "REFUSED_RATE", (3, 3600))
    for _ in range(5):
        audit.refused(Job.Kind.GENERATION, "client desk", "words_hate")
    audit.refused(Job.Kind.GENERATION, "client other", "words_hate")
    assert len(told()) == 4


def test_a_refusal_that_the_database_does_not_take_is_answered_all_the_same(catalogue, monkeypatch):
    def full(**entry):
        raise DatabaseError("database or disk is full")

    monkeypatch.setattr(AuditEntry.objects, "create", full)
    _, token = make_client("desk")
    body = a_request(other_details=SECRET)
    answer = Browser(headers=token).post("/api/generate-image/", body, "application/json")
    assert answer.status_code == 400 and "other_details" in answer.json()


def test_entries_go_after_their_days(transactional_db, settings):
    settings.KEEP_AUDIT_DAYS = 10
    for days in (9, 11):
        entry = AuditEntry.objects.create(event="made", what="generation", code=f"{days:08}")
        AuditEntry.objects.filter(pk=entry.pk).update(at=timezone.now() - timedelta(days=days))
    sweep.sweep()
    assert [code for _, _, code, _, _ in told()] == ["00000009"]


def test_the_admin_shows_the_log_and_changes_nothing_in_it(db, admin_client):
    entry = AuditEntry.objects.create(event="made", what="generation", code="12345678", by="client desk")
    base = "/admin/diffuser_api/auditentry/"
    page = admin_client.get(base).content.decode()
    assert "12345678" in page and "delete_selected" not in page
    for path in (f"{base}add/", f"{base}{entry.pk}/delete/"):
        assert admin_client.post(path, {"post": "yes"}).status_code == 403
    admin_client.post(f"{base}{entry.pk}/change/", {"code": "0"})
    admin_client.post(base, {"action": "delete_selected", "_selected_action": entry.pk, "post": "yes"})
    assert told() == [("made", "generation", "12345678", "client desk", "")]
