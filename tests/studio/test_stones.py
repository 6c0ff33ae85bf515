"""What visitors stumbled on, without a browser. Those that need one are in ``test_studio_choices``."""

from __future__ import annotations

import pytest
from django.test import Client as Browser

from benchmarks.harness.catalogue import make_catalogue
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job
from diffuser_api.photos.sentences import sentence
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
    assert 'action="/you/examples/"' in text(anna, "/you/")
    first, second = (anna.post("/you/examples/")["Location"] for _ in range(2))
    assert first == second and Job.objects.get().photos.count() == 5


def test_where_models_know_drawings_only_a_photograph_is_refused_for_that_reason(catalogue, monkeypatch):
    anna, _, _ = come()
    assert "know drawings only" in sentence("no_face") and "know drawings only" in text(anna, "/you/")
    monkeypatch.setenv("MODEL_PROFILE", "sd15")
    assert "drawing" not in sentence("no_face") and "know drawings only" not in text(anna, "/you/")
    assert anna.post("/you/examples/").status_code == 404


def test_a_wrong_code_keeps_the_typed_letters_and_gets_the_focus(catalogue):
    anna, _, _ = come()
    page = anna.post("/you/code/", {"code": "1234 5678 abcd"}).content.decode()
    field = page[page.index('<input id="code"') :]
    field = field[: field.index(">")]
    assert 'value="1234 5678 abcd"' in field and "autofocus" in field
    assert page.index('id="wrong-code"') < page.index('<input id="code"')


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
