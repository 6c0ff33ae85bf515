"""What visitors stumbled on, without a browser. Those that need one are in ``test_studio_choices``."""

from __future__ import annotations

import re

import pytest
from django.contrib.staticfiles import finders
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from PIL import Image

from benchmarks.harness.catalogue import make_catalogue
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job
from diffuser_api.photos.pictures import as_png
from diffuser_api.photos.sentences import sentence
from generation.miniature import demo_content
from tests.studio.test_studio_visitors import ask, come, finish, open_studio, wish  # noqa: F401


@pytest.fixture
def catalogue(db):
    return make_catalogue()


def text(browser: Browser, path: str, **headers) -> str:
    return browser.get(path, headers=headers).content.decode()


def test_the_gallery_asks_for_news_while_a_picture_is_being_made_and_then_no_more(catalogue, tmp_path):
    anna, _, _ = come()
    job = ask(anna, catalogue)
    assert 'hx-trigger="every 3s"' in text(anna, "/pictures/") and 'http-equiv="refresh"' in text(
        anna, "/pictures/"
    )
    part = text(anna, "/pictures/", **{"HX-Request": "true"})
    assert part.strip().startswith("<ul") and job.code in part
    finish(job, tmp_path)
    assert "every 3s" not in text(anna, "/pictures/") and "refresh" not in text(anna, "/pictures/")


@pytest.mark.parametrize("end", ["cancel", "fail"])
def test_a_picture_that_came_to_nothing_can_be_removed(end, catalogue):
    anna, _, _ = come()
    job = ask(anna, catalogue)
    if end == "cancel":
        anna.post(f"/jobs/{job.code}/cancel/")
    else:
        status_changes.fail(status_changes.claim(job.code), "step_failed", "x")
    assert f'action="/jobs/{job.code}/delete/"' in text(anna, f"/jobs/{job.code}/")
    anna.post(f"/jobs/{job.code}/delete/")
    assert not Job.objects.exists()


def test_home_leads_to_the_training_while_a_face_is_learned_and_it_says_how_long_it_takes(catalogue):
    anna, _, _ = come()
    code = anna.post("/you/examples/")["Location"].split("/")[-2]
    assert f'href="/jobs/{code}/"' in text(anna, "/") and "Begin with five photos" not in text(anna, "/")
    status_changes.claim(code)
    page = text(anna, f"/jobs/{code}/")
    assert "Getting the photos ready" in page and "It takes a few minutes." in page and "0 %</p>" not in page


def test_example_photos_are_learned_with_one_click_and_once(catalogue):
    anna, _, _ = come()
    for page in ("/you/", "/"):
        assert 'action="/you/examples/"' in text(anna, page)
    first, second = (anna.post("/you/examples/")["Location"] for _ in range(2))
    assert first == second and Job.objects.get().photos.count() == 5


def test_where_models_know_drawings_only_a_photograph_is_refused_for_that_reason(catalogue, monkeypatch):
    anna, _, _ = come()
    assert "know drawings only" in sentence("no_face") and "know drawings only" in text(anna, "/you/")
    monkeypatch.setenv("MODEL_PROFILE", "sd15")
    assert "drawing" not in sentence("no_face") and "know drawings only" not in text(anna, "/you/")
    assert anna.post("/you/examples/").status_code == 404


def test_home_shows_finished_pictures_and_says_that_its_models_know_drawings_only(catalogue, monkeypatch):
    fresh, _, _ = come()
    page = text(fresh, "/")
    shown = re.findall(r'<img src="/static/(studio/example[^"]+)" alt="A drawn', page)
    assert len(shown) == 3 and "/thumbnails/" not in page
    for name in shown:
        with Image.open(finders.find(re.sub(r"\.[0-9a-f]{12}\.", ".", name))) as picture:
            assert b"DigitalSourceType" in picture.info["xmp"]
    assert "know drawings only" in page and "painted by the small models for drawings" in page
    monkeypatch.setenv("MODEL_PROFILE", "sd15")
    page = text(fresh, "/")
    assert "know drawings only" not in page and "example photos" not in page
    assert "This server paints photographs." in page


def test_a_wrong_code_keeps_the_typed_letters_and_gets_the_focus(catalogue):
    anna, _, _ = come()
    page = anna.post("/you/code/", {"code": "1234 5678 abcd"}).content.decode()
    field = page[page.index('<input id="code"') :]
    field = field[: field.index(">")]
    assert 'value="1234 5678 abcd"' in field and "autofocus" in field
    assert page.index('id="wrong-code"') < page.index('<input id="code"')
    assert '<a href="/you/" aria-current="page">' in page  # it is the page "You", at another address


def test_a_wrong_field_is_named_at_the_top_with_a_way_to_it_and_the_focus(catalogue):
    anna, _, _ = come()
    page = anna.post("/postcard/", wish(catalogue, gender="", action="nothing")).content.decode()
    summary = page[page.index('id="problems"') :].partition("</ul>")[0]
    assert "autofocus" in summary.partition(">")[0]
    assert 'href="#field-gender"' in summary and 'id="field-gender"' in page


def test_no_step_stands_twice_in_the_list(catalogue):
    anna, _, _ = come()
    page = text(anna, f"/jobs/{ask(anna, catalogue).code}/")
    names = [part.partition("</b>")[0] for part in page.split("<b>")[1:]]
    assert "Adding more detail" in names and len(set(names)) == len(names)


def test_a_copy_and_another_person_are_told_before_all_five_photos_are_sent(catalogue):
    anna, _, _ = come()
    ada, bruno = demo_content.people()
    seen = []
    for photo in (*ada.photos[:2], bruno.photos[0]):
        file = SimpleUploadedFile("photo.png", as_png(photo), "image/png")
        judged = anna.post("/you/check/", {"image": file}).json()
        assert judged["accepted"] and judged["findings"] == []
        seen.append(judged["seen"])
    together = [*seen, "made up", seen[0]]
    for settled, told in ((together[:2], {}), (together, {3: "another_person", 5: "duplicate"})):
        reasons = anna.post("/you/compare/", {"seen": settled}).json()["reasons"]
        assert {reason["index"]: reason["code"] for reason in reasons} == told
        assert all(not reason["accepted"] and reason["message"] for reason in reasons)
    assert "photo 1" in reasons[-1]["message"]


@pytest.mark.parametrize("language", ["en", "it"])
def test_each_label_of_the_form_says_what_is_chosen(language, catalogue):
    """One of them was the word "Come" alone, which is Italian for how and as."""
    page = text(come()[0], "/postcard/", **{"Accept-Language": language})
    labels = re.findall(r"<legend>([^<]+)</legend>", page)
    assert len(labels) >= 9 and len(set(labels)) == len(labels)
    empty = {"come", "di", "da", "con", "as", "how", "like", "with"}
    assert [label for label in labels if label.lower() in empty] == []
