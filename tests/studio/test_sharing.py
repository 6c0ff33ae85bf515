"""A picture that its visitor shares: who sees it, until when, and how it is reported and taken down."""

from __future__ import annotations

import errno
import io
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.storage import default_storage
from django.core.management import call_command
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone
from PIL import Image

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_lora
from diffuser_api.jobs import deletion, kept
from diffuser_api.models import AuditEntry, Job, Report
from studio import sharing
from studio.views import share
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
    assert "<b>AI</b> Made by a machine" in text
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


@pytest.mark.parametrize("days", ["\u0667", "\uff17", "1_0", " 7", "+7"])
def test_days_that_only_python_can_read_share_nothing(shared, days):
    anna, job, url = shared
    anna.post(f"/jobs/{job.code}/share/", {"days": "0"})
    anna.post(f"/jobs/{job.code}/share/", {"days": days})
    assert status(url) == 404 and Job.objects.get(pk=job.pk).shared_until is None


def test_from_an_ended_link_the_way_leads_to_the_studio(shared):
    anna, job, url = shared
    anna.post(f"/jobs/{job.code}/share/", {"days": "0"})
    friend = Browser()
    [main] = re.findall(r"<main.*</main>", friend.get(url).content.decode(), re.DOTALL)
    [way] = re.findall(r'<a class="button" href="([^"]+)"', main)
    assert friend.get(way).status_code == 200 and friend.get(way).wsgi_request.visitor


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
    assert deletion.delete(job.code, "somebody") and status(url) == 404


# --- reports ------------------------------------------------------------------------------------------------


def report(url: str, **fields):
    return Browser().post(f"{url}report/", {"reason": "myself", **fields})


def test_everybody_reports_a_shared_picture_from_its_page_and_without_an_account(shared):
    _, job, url = shared
    [form] = re.findall(r'href="([^"]+report/)"', Browser().get(url).content.decode())
    page = Browser().get(form, headers={"Accept-Language": "it"}).content.decode()
    assert f'action="{form}"' in page and "Segnala" in page and page.count('type="radio"') == 6
    thanks = Browser().post(form, {"reason": "intimate", "words": " please\0 ", "x": "y"}).content.decode()
    assert "Thank you" in thanks and "<form" not in thanks.split("<main")[1]
    assert list(Report.objects.values_list("job", "reason", "words")) == [(job.pk, "intimate", "please")]
    told = AuditEntry.objects.filter(event="reported").values_list("code", "by", "reason")
    assert list(told) == [(job.code, "anybody", "intimate")]
    assert status(url) == 200  # a person decides


@pytest.mark.parametrize("wrong", [{"reason": ""}, {"reason": "none such"}, {"words": "x" * 501}])
def test_a_report_that_is_not_whole_comes_back_with_a_sentence_and_what_was_typed(shared, wrong):
    answer = report(shared[2], **{"words": "my words"} | wrong)
    assert answer.status_code == 400 and 'role="alert"' in answer.content.decode()
    assert ("my words" in answer.content.decode()) == ("words" not in wrong)
    assert not Report.objects.exists()


def test_a_picture_that_is_not_shared_has_no_form(shared):
    anna, job, url = shared
    anna.post(f"/jobs/{job.code}/share/", {"days": "0"})
    assert status(f"{url}report/") == report(url).status_code == 404 and not Report.objects.exists()


def test_forms_on_a_shared_picture_s_page_are_taken_from_browsers(shared):
    """A browser says "Origin: null" for a form of a page whose policy is no-referrer."""
    _, _, url = shared
    assert Browser().get(url)["Referrer-Policy"] == Browser().get(f"{url}report/")["Referrer-Policy"]
    assert Browser().get(f"{url}report/")["Referrer-Policy"] == "same-origin"
    strict = Browser(enforce_csrf_checks=True)
    token = strict.get(f"{url}report/").cookies["csrftoken"].value
    sent = {"reason": "other", "csrfmiddlewaretoken": token}
    assert strict.post(f"{url}report/", sent, headers={"Origin": "http://testserver"}).status_code == 200
    assert strict.post(f"{url}report/", sent, headers={"Origin": "null"}).status_code == 403


def test_one_sender_of_many_reports_waits_and_a_picture_has_no_more_than_are_of_use(shared, monkeypatch):
    _, job, url = shared
    answers = [report(url).status_code for _ in range(share.REPORT_RATE[0] + 1)]
    assert answers == [200] * share.REPORT_RATE[0] + [429]
    monkeypatch.setattr(share, "REPORT_RATE", (0, 1))
    for _ in range(share.MOST_REPORTS):
        assert report(url).status_code == 200
    assert job.reports.count() == share.MOST_REPORTS


def test_the_operator_sees_the_report_and_takes_the_picture_down_with_one_click(shared, admin_client):
    _, job, url = shared
    report(url, words="that is me")
    assert "1 report about a shared picture" in admin_client.get("/admin/").content.decode()
    page = admin_client.get("/admin/diffuser_api/report/").content.decode()
    assert "that is me" in page and f"/data/outputs/{job.code}" in page
    [button] = re.findall(r'formaction="([^"]+)"', page)
    answer = admin_client.post(button, follow=True)
    assert f"{job.code} was taken down" in answer.content.decode()
    assert status(url) == status(f"{url}picture.png") == status(f"{url}small.jpg") == 404
    assert not Job.objects.exists() and not Report.objects.exists()
    assert admin_client.post(button).status_code == 404
    assert "waits" not in admin_client.get("/admin/").content.decode()
    last = AuditEntry.objects.first()
    assert (last.event, last.code, last.by) == ("taken_down", job.code, "staff admin")


def test_only_who_may_delete_pictures_takes_them_down(shared, client):
    _, job, url = shared
    report(url)
    reader = User.objects.create_user("reader", password="x", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_report"))
    client.force_login(reader)
    [button] = re.findall(
        r'formaction="([^"]+)"', client.get("/admin/diffuser_api/report/").content.decode()
    ) or [f"/admin/diffuser_api/report/{Report.objects.get().pk}/take-down/"]
    assert client.post(button).status_code == 403 and client.get(button).status_code == 405
    assert status(url) == 200


# --- the small copy that messengers show --------------------------------------------------------------------


def small_files() -> list[str]:
    return sorted(default_storage.listdir("shared")[1]) if default_storage.exists("shared") else []


def test_the_page_and_the_small_copy_decode_the_picture_once_at_most(shared):
    """Afterwards the picture can be broken behind its header, and nobody notices."""
    _, job, url = shared
    first = Browser().get(f"{url}small.jpg").content
    assert len(small_files()) == 1 and b"c2pa" in first and b"rainedAlgorithmicMedia" in first
    content = job.output.open("rb").read()
    size = Image.open(io.BytesIO(content)).size
    with open(job.output.path, "wb") as file:
        file.write(content[:60])
    assert Browser().get(f"{url}small.jpg").content == first and len(small_files()) == 1
    page = Browser().get(url)
    assert page.status_code == 200
    assert f'width="{size[0]}" height="{size[1]}"' in page.content.decode()


def test_a_picture_that_is_broken_or_gone_has_no_small_copy(shared):
    _, job, url = shared
    with open(job.output.path, "r+b") as file:
        file.truncate(60)
    assert status(f"{url}small.jpg") == 404 and small_files() == []
    default_storage.delete(job.output.name)
    assert status(f"{url}small.jpg") == status(url) == 404 and small_files() == []


def test_a_full_disk_keeps_nobody_from_the_small_copy(shared, monkeypatch):
    _, job, url = shared

    def full(*args, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(default_storage, "save", full)
    assert Image.open(io.BytesIO(Browser().get(f"{url}small.jpg").content)).format == "JPEG"
    assert Job.objects.get(pk=job.pk).shared_small == "" and small_files() == []


def test_the_small_copy_is_seen_as_long_as_the_picture_is_shared(shared):
    anna, job, url = shared
    assert status(f"{url}small.jpg") == 200
    anna.post(f"/jobs/{job.code}/share/", {"days": "0"})
    assert status(f"{url}small.jpg") == 404
    anna.post(f"/jobs/{job.code}/share/", {"days": "1"})
    assert status(f"{url}small.jpg") == 200 and len(small_files()) == 1


LEAVING = {
    "the picture": lambda anna, job: anna.post(f"/jobs/{job.code}/delete/"),
    "everything": lambda anna, job: anna.post("/leave/", {"erase": ""}),
    "by the operator": lambda anna, job: call_command("takedown", job.code),
    "by age": lambda anna, job: [
        Job.objects.update(finished_at="2020-01-01T00:00Z"),
        deletion.delete_expired(),
    ],
}


@pytest.mark.parametrize("leave", LEAVING.values(), ids=LEAVING)
def test_the_small_copy_is_deleted_with_the_picture(transactional_db, shared, leave):
    anna, job, url = shared
    assert status(f"{url}small.jpg") == 200 and len(small_files()) == 1
    assert any("small copy" in line for line in kept.of(job.code))
    leave(anna, job)
    assert not Job.objects.exists() and small_files() == []


def test_a_picture_that_is_erased_while_its_small_copy_is_made_leaves_none(
    transactional_db, shared, monkeypatch
):
    _, job, url = shared
    copy = sharing.derived(Image.open(job.output.path), job.output, ["c2pa.resized"])

    def erased_meanwhile(*args):
        deletion.delete(job.code, "somebody")
        return copy

    monkeypatch.setattr(sharing, "derived", erased_meanwhile)
    assert status(f"{url}small.jpg") == 404 and small_files() == []


def test_many_who_ask_at_once_get_one_copy(transactional_db, shared):
    _, _, url = shared
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: asked(f"{url}small.jpg"), range(8)))
    assert len(set(answers)) == len(small_files()) == 1


def asked(url: str) -> bytes:
    try:
        return Browser().get(url).content
    finally:
        connection.close()
