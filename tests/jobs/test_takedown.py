"""A picture that is taken down is found neither on the disk, nor in the database, nor at any address."""

import io
import subprocess
from datetime import timedelta

import pytest
from django.core.files.storage import default_storage
from django.core.management import CommandError, call_command, execute_from_command_line
from django.core.management.base import SystemCheckError
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from benchmarks.harness.clients import make_job, make_lora, make_order, make_picture, make_training
from diffuser_api.jobs import folders, orders, status_changes
from diffuser_api.models import Job, LoraModel
from studio import sharing
from tests.jobs.test_erase import in_database, sqlite_only

NUMBER = 0.712345678901  # in the visitor's words


def take_down(code: str) -> str:
    out = io.StringIO()
    call_command("takedown", code, stdout=out)
    return out.getvalue()


@sqlite_only
def test_nothing_is_left_of_a_picture_that_is_taken_down(catalogue, tmp_path, settings):
    lora = make_lora("12345678")
    job = status_changes.claim(
        orders.create_job(make_order(lora=lora, other_details=f"a coat, {NUMBER}")).code
    )
    (tmp_path / "painted.png").write_bytes(b"a picture to be found by its bytes")
    assert status_changes.finish_generation(job, tmp_path / "painted.png")
    (tmp_path / "painted.png").unlink()
    Job.objects.update(shared_until=timezone.now() + timedelta(days=1))
    page = reverse("studio:shared", args=[sharing._signer().sign(job.code)])
    addresses = (f"/data/outputs/{job.code}", f"/api/jobs/{job.code}/", f"{page}picture.png")
    assert [Browser().get(url).status_code for url in addresses] == [200] * 3 and in_database(NUMBER)
    assert job.code in take_down(job.code)
    assert [Browser().get(url).status_code for url in (*addresses, page)] == [404] * 4
    assert not in_database(NUMBER) and not Job.objects.exists()
    found = subprocess.run(
        ["grep", "-rlF", "a picture to be found", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert not found.stdout and not default_storage.listdir("outputs")[1]
    assert LoraModel.objects.get() == lora  # the face is its owner's


def test_a_wrong_setting_does_not_hold_a_takedown_up(catalogue, tmp_path, settings):
    job = make_picture(tmp_path)
    settings.C2PA_CERTIFICATE = settings.C2PA_KEY = "/nowhere"
    with pytest.raises(SystemCheckError):
        call_command("check")
    execute_from_command_line(["manage.py", "takedown", job.code])
    assert not Job.objects.exists()


def test_a_picture_that_waits_leaves_no_working_folder(catalogue):
    job = make_job()
    folder = folders.make(folders.generation_folder(job.code))
    (folder / "1-pose.png").write_bytes(b"half painted")
    take_down(job.code)
    assert not folder.exists() and not Job.objects.exists()


def test_what_a_dead_worker_left_of_a_finished_picture_goes_with_it(catalogue, tmp_path):
    job = make_picture(tmp_path)
    folder = folders.make(folders.generation_folder(job.code))
    (folder / "5-face.png").write_bytes(b"painted")
    take_down(job.code)
    assert not folder.exists() and not Job.objects.exists()


def test_only_a_pictures_code_is_taken_down(catalogue, photos, tmp_path):
    picture, training = make_picture(tmp_path), make_training(photos)
    for code, reason in ((training.code, "is a face"), ("00000000", "no picture"), ("x", "no picture")):
        with pytest.raises(CommandError, match=reason):
            take_down(code)
    assert set(Job.objects.all()) == {picture, training}
