"""No training without consent where it is needed, and all that is kept can be told."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from io import StringIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test import Client as Browser
from django.utils import timezone, translation

from benchmarks.harness.catalogue import make_photos
from benchmarks.harness.clients import CONSENT
from benchmarks.harness.loras import small_lora
from diffuser_api.jobs import deletion, status_changes
from diffuser_api.models import Job, LeftVisitor, LoraModel
from diffuser_api.photos import consent, gate

TEXT_OF = {"2026-12": "80ebfb62076975fa"}  # a changed text needs a version that nobody has agreed to
pytestmark = pytest.mark.django_db(transaction=True)


def photos() -> list[SimpleUploadedFile]:
    return [SimpleUploadedFile(f"{k}.png", photo) for k, photo in enumerate(make_photos())]


def train(browser=None, **fields):
    browser = browser or Browser()
    return browser.post("/api/lora-training/", {"images": photos(), **fields})


@pytest.fixture(autouse=True)
def unchecked(settings):
    settings.PHOTO_CHECKS = "off"
    settings.STUDIO = True


def test_the_text_of_a_version_never_changes():
    text = "\n".join(str(part) for part in (*consent.POINTS, consent.ERASE, consent.AGREE, consent.PERSON))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == TEXT_OF[consent.VERSION]


@pytest.mark.parametrize("language", ["en", "it"])
def test_the_text_is_read_in_twenty_seconds(language):
    with translation.override(language):
        text = " ".join([*consent.points(), str(consent.AGREE), str(consent.PERSON)])
    assert len(text.split()) <= 20 * 240 / 60  # words; people read 240 in a minute
    assert text.startswith("Dalle tue" if language == "it" else "From your")


def test_an_old_client_is_told_which_field_is_missing(catalogue, settings):
    settings.API_NEEDS_CONSENT = True
    answer = train()
    assert answer.status_code == 400 and "/api/consent/" in answer.json()["consent_version"][0]
    assert train(consent_version="2019-01").status_code == 400
    assert not Job.objects.exists()


@pytest.mark.parametrize("needed", [True, False])
def test_consent_is_kept_with_the_training(catalogue, settings, needed):
    settings.API_NEEDS_CONSENT = needed
    browser = Browser(headers={"Accept-Language": "it"})
    told = browser.get("/api/consent/").json()
    assert told["needed"] is needed and any("alleniamo" in line for line in told["text"])
    assert train(browser, consent_version=told["version"]).status_code == 202
    kept = Job.objects.get().parameters["consent"]
    assert kept["version"] == consent.VERSION and kept["language"] == "it"
    assert datetime.fromisoformat(kept["given_at"]).utcoffset() == timedelta(0)


def test_a_replay_without_consent_makes_no_training(catalogue, settings):
    browser = Browser(headers={"Idempotency-Key": "one"})
    assert train(browser).status_code == 202  # before the operator asked for consent
    settings.API_NEEDS_CONSENT = True
    assert train(browser).status_code == 400 and Job.objects.count() == 1
    assert train(browser, consent_version=consent.VERSION).status_code == 422  # the key is of another request


@pytest.mark.parametrize("missing", [*CONSENT, "both", "old page"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["plain", "script"])
def test_the_studio_learns_no_face_without_both_ticks(catalogue, missing, headers):
    fields = {} if missing == "both" else {name: value for name, value in CONSENT.items() if name != missing}
    if missing == "old page":
        fields["consent_version"] = "2019-01"
    answer = Browser().post("/you/", {"images": photos(), **fields}, headers=headers)
    assert "Tick both boxes" in answer.content.decode() and not Job.objects.exists()


def test_the_studio_keeps_the_consent_with_the_training(catalogue):
    assert Browser().post("/you/", {"images": photos(), **CONSENT}).status_code == 302
    assert Job.objects.get().parameters["consent"]["version"] == consent.VERSION


def test_the_text_says_how_long_things_are_kept(settings):
    settings.KEEP_LORAS_DAYS = settings.KEEP_OUTPUTS_DAYS = 30
    assert any("30 days" in point for point in consent.points())
    settings.KEEP_OUTPUTS_DAYS = 0
    assert any("until you erase it" in point for point in consent.points())


def said(code: str) -> str:
    out = StringIO()
    call_command("privacy", code, stdout=out)
    return out.getvalue()


def test_privacy_prints_all_that_is_kept_of_a_face(catalogue, settings):
    settings.PHOTO_CHECKS = "warn"  # so that the photos are looked at
    Browser().post("/you/", {"images": photos(), **CONSENT})
    job = Job.objects.get()
    text = said(job.code)
    assert consent.VERSION in text and text.count("photo ") == 5 and f"visitor {job.visitor}" in text
    assert "numbers that describe it\n  looks: hair " in text
    deletion.delete(job.code, "somebody")
    with pytest.raises(CommandError, match="nothing is kept"):
        said(job.code)


def visitor_with_face(settings) -> tuple[Browser, LoraModel]:
    browser = Browser()
    assert browser.post("/you/", {"images": photos(), **CONSENT}).status_code == 302
    assert status_changes.finish_training(status_changes.claim(Job.objects.get().code), small_lora())
    return browser, LoraModel.objects.get()


def test_the_studio_says_until_when_a_face_is_kept(catalogue, settings):
    settings.KEEP_LORAS_DAYS = 30
    browser, lora = visitor_with_face(settings)
    until = deletion.lora_kept_until(lora)
    assert f"It is kept until {until:%b}" in browser.get("/you/").content.decode()


def test_forget_me_offers_to_erase_everything(catalogue, settings):
    browser, lora = visitor_with_face(settings)
    page = browser.get("/leave/").content.decode()
    assert "Erase everything, and forget me" in page and LoraModel.objects.exists()
    answer = browser.post("/leave/", {"erase": "yes"}, follow=True)
    assert "Nobody can bring them back" in answer.content.decode()
    assert not LoraModel.with_erased.exists() and not Job.objects.exists()


def test_photos_that_are_looked_at_while_their_visitor_erases_everything_teach_no_face(
    catalogue, monkeypatch, own_data_folder
):
    """From two tabs of one browser. The face would be out of reach of the person it belongs to."""
    browser, tab, look = Browser(), Browser(), gate.clean_photos
    browser.get("/")
    tab.cookies = browser.cookies.copy()

    def erased_meanwhile(*arguments):
        seen = look(*arguments)
        assert tab.post("/leave/", {"erase": "yes"}).status_code == 302
        return seen

    monkeypatch.setattr(gate, "clean_photos", erased_meanwhile)
    browser.post("/you/", {"images": photos(), **CONSENT})
    assert not Job.objects.exists()
    assert not [path for path in (own_data_folder / "photos").glob("*") if path.is_file()]


def test_visitors_who_left_are_forgotten_after_a_day(catalogue, settings):
    browser, _ = visitor_with_face(settings)
    browser.post("/leave/", {"erase": "yes"})
    assert LeftVisitor.objects.count() == 1
    LeftVisitor.objects.update(created_at=timezone.now() - timedelta(hours=25))
    deletion.forget_keys()
    assert not LeftVisitor.objects.exists()


def test_forget_me_alone_keeps_the_face_and_says_so(catalogue, settings):
    browser, lora = visitor_with_face(settings)
    answer = browser.post("/leave/", follow=True)
    assert "What you made is still there" in answer.content.decode() and LoraModel.objects.exists()
    assert lora.code not in browser.get("/you/").content.decode()
