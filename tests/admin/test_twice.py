"""A button of the desk that is clicked twice makes one job."""

import re

import pytest

from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_picture
from diffuser_api.models import ActionImage, Job


@pytest.fixture
def desk(db, admin_client):
    make_catalogue()
    return admin_client


def key_in(page) -> str:
    return re.search(r'name="once" value="([\w-]{10,})"', page.content.decode())[1]


def test_run_it_again_clicked_twice_makes_one_job(desk, tmp_path):
    job = make_picture(tmp_path)
    page = desk.get(f"/admin/diffuser_api/job/{job.pk}/change/")
    answers = [
        desk.post(f"/admin/diffuser_api/job/{job.pk}/again/", {"once": key_in(page)}) for _ in range(2)
    ]
    assert Job.objects.count() == 2
    assert answers[0]["Location"] == answers[1]["Location"]
    another = key_in(desk.get(f"/admin/diffuser_api/job/{job.pk}/change/"))
    desk.post(f"/admin/diffuser_api/job/{job.pk}/again/", {"once": another})
    assert Job.objects.count() == 3


def test_paint_it_once_clicked_twice_makes_one_job(desk):
    url = "/admin/diffuser_api/action/try/"
    shot = ActionImage.objects.first()
    asked = {"shot": shot.pk, "age": "adult", "gender": "man", "paint": "1", "once": key_in(desk.get(url))}
    asked["place"] = re.search(r'name="place".*?value="(\d+)"', desk.get(url).content.decode(), re.DOTALL)[1]
    answers = [desk.post(url, asked) for _ in range(2)]
    assert Job.objects.count() == 1
    assert answers[0]["Location"] == answers[1]["Location"]
    desk.post(url, asked | {"age": "old"})
    assert Job.objects.count() == 2
