"""Three pictures to choose from, the face again, and the likeness in words, without a browser."""

from __future__ import annotations

import re

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_lora
from diffuser_api.jobs import queue, status_changes
from diffuser_api.models import Job, PoiImage
from tests.jobs.test_choosing import finish
from tests.studio.test_studio_visitors import come, open_studio, wish  # noqa: F401


@pytest.fixture
def catalogue(db):
    return make_catalogue()


def three(browser: Browser, catalogue, **changes) -> tuple[str, list[str]]:
    """The page to choose on, and the codes."""
    answer = browser.post("/postcard/", wish(catalogue, candidates="3", **changes))
    assert answer.status_code == 302, answer.content.decode()
    return answer["Location"], list(Job.objects.order_by("pk").values_list("code", flat=True))


def text(browser: Browser, path: str, **headers) -> str:
    answer = browser.get(path, headers=headers)
    assert answer.status_code == 200
    return answer.content.decode()


def test_one_click_keeps_one_of_three_and_removes_the_others(catalogue, tmp_path):
    anna, _, _ = come()
    place, codes = three(anna, catalogue)
    finish(codes[1], tmp_path)
    page = text(anna, place)
    assert re.findall(r'action="/jobs/(\d+)/keep/"', page) == [codes[1]]
    assert sorted(re.findall(r'action="/jobs/(\d+)/cancel/"', page)) == sorted([codes[0], codes[2]])
    assert 'http-equiv="refresh"' in page and f'href="{place}"' in text(anna, f"/jobs/{codes[0]}/")
    kept = anna.post(f"/jobs/{codes[1]}/keep/")
    assert kept["Location"] == f"/jobs/{codes[1]}/" and kept["Clear-Site-Data"] == '"cache"'
    assert [job.code for job in Job.objects.all()] == [codes[1]]
    assert anna.get(place)["Location"] == "/pictures/"
    assert "/keep/" not in text(anna, f"/jobs/{codes[1]}/")
    assert "This has been erased." in text(anna, place, **{"HX-Request": "true"})


def test_an_unfinished_candidate_isnt_kept_and_the_page_says_why(catalogue):
    anna, _, _ = come()
    _, codes = three(anna, catalogue)
    answer = anna.post(f"/jobs/{codes[0]}/keep/")
    assert answer.status_code == 409 and "can&#x27;t be kept" in answer.content.decode()
    assert Job.objects.count() == 3


def test_nobody_elses_candidates_are_seen_or_kept(catalogue, tmp_path):
    anna, _, _ = come()
    bruno, _, _ = come()
    place, codes = three(anna, catalogue)
    finish(codes[0], tmp_path)
    assert bruno.get(place)["Location"] == "/pictures/"
    assert bruno.post(f"/jobs/{codes[0]}/keep/").status_code == 404 and Job.objects.count() == 3


def test_the_page_of_candidates_is_polled_only_as_long_as_one_is_unfinished(catalogue, tmp_path):
    anna, _, _ = come()
    place, codes = three(anna, catalogue)
    again = re.search(r'hx-get="([^"]+)"', text(anna, place))[1]
    assert anna.get(again, headers={"HX-Request": "true"}).status_code == 204
    finish(codes[0], tmp_path)
    assert "/keep/" in text(anna, again, **{"HX-Request": "true"})
    for code in codes[1:]:
        anna.post(f"/jobs/{code}/cancel/")
    page = text(anna, place)
    assert "hx-get" not in page and "refresh" not in page and page.count("Cancelled.") >= 2


def test_three_that_are_more_than_a_visitor_may_have_are_refused_together(catalogue):
    anna, _, _ = come()
    three(anna, catalogue)
    answer = anna.post("/postcard/", wish(catalogue, candidates="3"))
    assert answer.status_code == 400 and "still being made" in answer.content.decode()
    assert Job.objects.count() == 3


def test_a_form_for_three_that_is_sent_twice_makes_three(catalogue):
    anna, _, _ = come()
    places = {three(anna, catalogue, form_key="once")[0] for _ in range(2)}
    assert len(places) == 1 and Job.objects.count() == 3


def test_three_of_a_finished_picture_are_painted(catalogue, tmp_path):
    anna, _, _ = come()
    answer = anna.post("/postcard/", wish(catalogue))
    finish(answer["Location"].split("/")[-2], tmp_path)
    again = anna.post(f"{answer['Location']}again/", {"candidates": "3"})
    assert again["Location"].startswith("/candidates/") and Job.objects.count() == 4


@pytest.fixture
def mine(catalogue, tmp_path):
    """A browser, and its finished picture with its face, not like the photos."""
    anna, client, name = come()
    make_lora("30000001", client, name)
    answer = anna.post("/postcard/", wish(catalogue, face="30000001"))
    return anna, finish(answer["Location"].split("/")[-2], tmp_path, face=True, distance=0.8)


def test_the_page_says_how_like_the_face_is_and_paints_it_again(mine):
    anna, job = mine
    page = text(anna, f"/jobs/{job.code}/")
    assert "The face is not like the photos. Try the face again" in page
    assert "Il volto non somiglia" in text(anna, f"/jobs/{job.code}/", **{"Accept-Language": "it"})
    answer = anna.post(f"/jobs/{job.code}/face/")
    again = Job.objects.get(code=answer["Location"].split("/")[-2])
    assert again.first == 5 and again.lora == job.lora and again.seed != job.seed
    page = text(anna, f"/jobs/{again.code}/")
    assert "Painting the face" in page and "Sketching the figure" not in page


@pytest.mark.parametrize("why", ["changed", "gone"])
def test_where_the_face_alone_cant_be_painted_the_page_says_why(why, mine):
    anna, job = mine
    if why == "changed":
        PoiImage.objects.update(image="another.png")
    else:
        Job.objects.update(body="")
        page = text(anna, f"/jobs/{job.code}/")
        assert "/face/" not in page and "painted again any more" in page
    answer = anna.post(f"/jobs/{job.code}/face/")
    assert answer.status_code == 409 and "painted again any more" in answer.content.decode()
    assert Job.objects.count() == 1


def test_a_picture_without_a_face_doesnt_speak_of_one(catalogue, tmp_path):
    anna, _, _ = come()
    path = anna.post("/postcard/", wish(catalogue))["Location"]
    finish(path.split("/")[-2], tmp_path)
    page = text(anna, path)
    assert "/face/" not in page and "painted again any more" not in page and 'class="likeness' not in page


def test_a_failed_candidate_says_why_and_the_others_can_be_kept(catalogue, tmp_path):
    anna, _, _ = come()
    place, codes = three(anna, catalogue)
    status_changes.fail(status_changes.claim(codes[0]), "picture_refused", "x")
    finish(codes[1], tmp_path)
    page = text(anna, place)
    assert "Our safety check" in page and "/keep/" in page


def test_candidates_have_one_card_in_the_gallery_that_leads_to_the_page_to_choose_on(catalogue, tmp_path):
    anna, _, _ = come()
    place, codes = three(anna, catalogue)
    finish(codes[1], tmp_path)
    alone = anna.post("/postcard/", wish(catalogue))["Location"]
    for path in ("/pictures/", "/"):  # home shows what is finished
        page = text(anna, path)
        assert page.count(f'class="card" href="{place}"') == 1 and "Choose one of these" in page
        assert page.count("/small.jpg") == 1 and f'href="/jobs/{codes[1]}/"' not in page
    page = text(anna, "/pictures/")
    assert page.count('class="card"') == 2 and page.count('class="none">being made') == 3
    assert "every 3s" in page and f'href="{alone}"' in page
    anna.post(f"/jobs/{codes[1]}/keep/")
    page = text(anna, "/pictures/")
    assert f'href="/jobs/{codes[1]}/"' in page and "Choose one of these" not in page


def test_the_page_to_choose_on_asks_for_the_group_once(catalogue):
    anna, _, _ = come()
    place, _ = three(anna, catalogue)
    with CaptureQueriesContext(connection) as asked:
        text(anna, place)
    of_group = [query["sql"] for query in asked if '"group" =' in query["sql"]]
    assert len(of_group) == 2, of_group  # the pictures of the page, and the codes for all of them


def test_a_look_at_an_unchanged_job_takes_at_most_three_statements(catalogue, monkeypatch):
    anna, _, _ = come()
    _, codes = three(anna, catalogue)
    monkeypatch.setattr(queue, "OUTLOOK_SECONDS", 60.0)
    again = re.search(r'hx-get="([^"]+)"', text(anna, f"/jobs/{codes[0]}/"))[1]
    with CaptureQueriesContext(connection) as asked:
        assert anna.get(again, headers={"HX-Request": "true"}).status_code == 204
    assert len(asked) <= 3, [query["sql"] for query in asked]
