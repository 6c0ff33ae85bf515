"""A picture that its visitor shares: who sees it, and until when."""

from __future__ import annotations

import io
import re
from datetime import timedelta

import pytest
from django.test import Client as Browser
from django.utils import timezone
from PIL import Image

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_lora
from diffuser_api.jobs import retention
from diffuser_api.models import Job
from tests.studio.test_studio_visitors import ask, come, finish, open_studio  # noqa: F401


@pytest.fixture
def shared(db, tmp_path):
    """A browser, its finished picture, and the address that it shares."""
    catalogue = make_catalogue()
    anna, _, _ = come()
    job = finish(ask(anna, catalogue), tmp_path)
    assert anna.post(f"/jobs/{job.code}/share/", {"days": "7"}).status_code == 302
    [url] = re.findall(
        r'value="http://testserver(/p/[^"]+)"', anna.get(f"/jobs/{job.code}/").content.decode()
    )
    return anna, job, url


def status(url: str) -> int:
    return Browser().get(url).status_code


def test_a_shared_picture_has_a_page_a_preview_and_a_file_for_everybody(shared):
    anna, job, url = shared
    page = Browser().get(url)
    text = page.content.decode()
    assert (
        page.status_code == 200 and "noindex" in page["X-Robots-Tag"] and "no-store" in page["Cache-Control"]
    )
    assert '<meta property="og:title" content="Piazza">' in text and 'name="robots" content="noindex' in text
    [preview] = re.findall(r'og:image" content="http://testserver([^"]+)"', text)
    assert Image.open(io.BytesIO(Browser().get(preview).content)).format == "JPEG"
    file = Browser().get(f"{url}picture.png?download")
    assert "attachment" in file["Content-Disposition"]
    assert b"".join(file) == job.output.open("rb").read()
    assert Browser().get(f"/jobs/{job.code}/").status_code == 404 and anna.cookies["studio"].value not in text


@pytest.mark.parametrize("wrong", ["", "{code}", "{code}.x", "00000000.{signature}"])
def test_an_address_that_is_guessed_shows_nothing(wrong, shared):
    _, job, url = shared
    token = wrong.format(code=job.code, signature=url.split(".")[1].strip("/"))
    assert status(f"/p/{token}/") == 404


def test_sharing_ends_at_its_time_by_hand_and_with_the_face(shared, settings, tmp_path):
    anna, job, url = shared
    anna.post(f"/jobs/{job.code}/share/", {"days": "0"})
    assert status(url) == status(f"{url}picture.png") == status(f"{url}small.jpg") == 404
    for days in ("9999", "99999", "-1", "x"):
        anna.post(f"/jobs/{job.code}/share/", {"days": days})
        until = Job.objects.get(pk=job.pk).shared_until
        assert until is None or until < timezone.now() + timedelta(days=settings.SHARE_DAYS, minutes=1)
    anna.post(f"/jobs/{job.code}/share/", {"days": "1"})
    assert status(url) == 200
    Job.objects.filter(pk=job.pk).update(shared_until=timezone.now() - timedelta(seconds=1))
    assert status(url) == 404
    anna.post(f"/jobs/{job.code}/share/", {"days": "1"})
    Job.objects.filter(pk=job.pk).update(lora=make_lora("30000001", job.client, job.visitor))
    assert status(url) == 200
    anna.post("/you/30000001/erase/")
    assert status(url) == 404 and not Job.objects.exists()


def test_only_its_visitor_shares_a_picture(shared):
    _, job, url = shared
    stranger, _, _ = come()
    assert stranger.post(f"/jobs/{job.code}/share/", {"days": "0"}).status_code == 404
    assert status(url) == 200


def test_a_card_with_a_qr_code_is_shared_when_it_is_printed_and_one_without_is_not(shared):
    anna, job, url = shared
    anna.post(f"/jobs/{job.code}/share/", {"days": "0"})
    card = f"/jobs/{job.code}/postcard/"
    assert anna.post(card, {"file": "pdf", "stamp": "on"})["Content-Type"] == "application/pdf"
    assert anna.post(card, {"qr": "on"}).status_code == 200  # only looked at
    assert status(url) == 404
    assert anna.post(card, {"file": "pdf", "qr": "on"})["Content-Type"] == "application/pdf"
    assert status(url) == 200
    stranger, _, _ = come()
    assert stranger.get(card).status_code == 404


def test_a_card_is_shown_and_refused_without_javascript(shared):
    anna, job, _ = shared
    card = f"/jobs/{job.code}/postcard/"
    shown = anna.post(
        card, {"greeting": "Ciao", "layout": "full bleed", "orientation": "portrait"}
    ).content.decode()
    assert shown.count("data:image/jpeg;base64,") == 2
    assert 'value="Ciao"' in shown and 'value="portrait" checked' in shown
    refused = anna.post(card, {"message": "你好", "file": "pdf"})
    assert refused.status_code == 400 and "autofocus" in refused.content.decode()
    assert ">你好</textarea>" in refused.content.decode()


def test_an_erased_picture_is_shared_no_more(shared):
    _, job, url = shared
    assert retention.delete(job.code) and status(url) == 404
