"""Stored files in a bucket of a real S3 server, which also goes away and comes back."""

import os

import pytest
import requests
from django.conf import settings as conf
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.test import Client as Browser
from PIL import Image

from benchmarks.harness.api_requests import send
from benchmarks.harness.clients import make_client, make_job, make_lora, make_picture, make_training
from benchmarks.harness.loras import small_lora
from diffuser_api import storage
from diffuser_api.access import tokens
from diffuser_api.api.job_serializer import output_url
from diffuser_api.jobs import deletion, kept, lease, runner, status_changes, sweep
from diffuser_api.models import ActionImage, Job, LoraModel, PoiImage, TrainingPhoto
from diffuser_api.operations import doctor, health, installation
from diffuser_api.photos.pictures import as_png
from djangoproject.environment import Environment
from studio import sharing

pytestmark = [
    pytest.mark.skipif(connection.vendor != "postgresql", reason="runs in: make test-scale"),
    pytest.mark.usefixtures("bucket", "catalogue"),
]


def of_visitors(bucket) -> set[str]:
    """The folders that hold files of visitors."""
    folders = {"photos", "loras", "outputs", "bodies", "shared", "work"}
    return {name.split("/")[0] for name in bucket.names()} & folders


def test_every_stored_file_is_in_the_bucket_and_none_on_the_disk(bucket, photos, tmp_path):
    training = status_changes.claim(make_training(photos).code)
    assert len(default_storage.listdir("photos")[1]) == 5
    assert status_changes.finish_training(training, small_lora())
    assert default_storage.listdir("photos")[1] == []
    make_picture(tmp_path)
    folders = {name.split("/")[0] for name in bucket.names()}
    assert folders == {"pois", "actions", "loras", "outputs"}
    assert list(conf.DATA_DIR.iterdir()) == []
    lora = LoraModel.objects.get()
    for _ in "once", "and again":
        with lora.file.open("rb") as file:
            assert file.read() == small_lora()


def test_a_picture_is_streamed_to_those_who_may_see_it_and_to_nobody_else(tmp_path, settings, rf):
    settings.OPEN_API = False
    client, headers = make_client("ours")
    _, others = make_client("another")
    job = make_picture(tmp_path, client)
    answer = Browser().get(f"/data/outputs/{job.code}", headers=headers)
    assert answer.status_code == 200 and answer.getvalue() == b"picture"
    assert answer["Content-Length"] == "7" and answer["Content-Type"] == "image/png"
    assert "no-store" in answer["Cache-Control"]
    assert Browser().get(output_url(job, rf.get("/")).removeprefix("http://testserver")).status_code == 200
    assert Browser().get(f"/data/outputs/{job.code}").status_code == 404
    assert Browser().get(f"/data/outputs/{job.code}", headers=others).status_code == 404
    assert Browser().get(f"/data/{job.output.name}", headers=headers).status_code == 404


def test_small_pictures_of_the_catalogue_are_made_from_the_bucket():
    place, shot = PoiImage.objects.first(), ActionImage.objects.first()
    for path in (f"pois/{place.pk}/image", f"actions/{shot.pk}/face_mask"):
        answer = Browser().get(f"/data/thumbnails/{path}")
        assert (answer.status_code, answer["Content-Type"]) == (200, "image/jpeg")


def test_deleted_files_are_gone_from_the_bucket(bucket, tmp_path):
    lora = make_lora("12345678")
    job = make_job(lora=lora)
    for name in ("picture.png", "body.png"):
        (tmp_path / name).write_bytes(b"a face")
    claimed = status_changes.claim(job.code)
    assert status_changes.finish_generation(claimed, tmp_path / "picture.png", tmp_path / "body.png")
    assert of_visitors(bucket) == {"loras", "outputs", "bodies"}
    assert any("outputs/" in line for line in kept.of(lora.code))
    assert deletion.delete(lora.code, "somebody")
    assert of_visitors(bucket) == set() and kept.of(lora.code) == []


def test_the_small_copy_of_a_shared_picture_is_in_the_bucket_as_long_as_the_picture(bucket, tmp_path):
    (tmp_path / "picture.png").write_bytes(as_png(Image.new("RGB", (64, 64))))
    job = status_changes.claim(make_job().code)
    assert status_changes.finish_generation(job, tmp_path / "picture.png")
    rows = [Job.objects.get(pk=job.pk) for _ in range(3)]  # as three requests have read them
    assert sharing.small(rows[0]) == sharing.small(rows[1]) != b""
    assert of_visitors(bucket) == {"outputs", "shared"}
    assert len([name for name in bucket.names() if name.startswith("shared/")]) == 1
    assert deletion.delete(job.code, "somebody")
    with pytest.raises(FileNotFoundError):
        sharing.small(rows[2])
    assert of_visitors(bucket) == set()


def test_a_job_that_is_cancelled_while_its_picture_is_stored_leaves_no_file(bucket, tmp_path, monkeypatch):
    job, save = status_changes.claim(make_job().code), type(default_storage._wrapped)._save

    def cancelled_meanwhile(self, name, content):
        status_changes.cancel(job.code)
        return save(self, name, content)

    monkeypatch.setattr(type(default_storage._wrapped), "_save", cancelled_meanwhile)
    (tmp_path / "picture.png").write_bytes(b"picture")
    assert not status_changes.finish_generation(job, tmp_path / "picture.png")
    assert of_visitors(bucket) == set()


def test_two_that_write_the_same_name_have_a_file_each():
    names = [default_storage.save("outputs/1.png", ContentFile(text)) for text in (b"one", b"two")]
    assert [default_storage.open(name).read() for name in names] == [b"one", b"two"]


def test_a_process_that_is_forked_shares_no_connection_with_its_parent():
    connection = default_storage.connection
    assert default_storage.connection is connection
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, b"own" if default_storage.connection is not connection else b"shared")
        os._exit(0)
    os.wait()
    assert os.read(read, 10) == b"own"


def test_files_without_a_row_are_removed_but_young_ones_and_another_databases_are_not(bucket):
    name = default_storage.save("outputs/1.png", ContentFile(b"left over"))
    catalogue = set(bucket.names()) - {name}
    sweep.remove_files()
    assert name in bucket.names()
    sweep.remove_files(writing_seconds=0)
    assert set(bucket.names()) - {installation.CLAIM} == catalogue

    default_storage.delete(installation.CLAIM)
    default_storage.put(installation.CLAIM, b"another database")
    name = default_storage.save("outputs/1.png", ContentFile(b"another's"))
    sweep.remove_files(writing_seconds=0)
    assert name in bucket.names() and installation.other_owner() == "another database"


@pytest.fixture
def back(bucket):
    """Started again at the end, if the test hasn't done it."""
    yield bucket
    if not bucket.processes:
        bucket.start()


def test_while_the_server_is_away_pages_say_so_jobs_fail_and_deletions_follow(
    back, photos, tmp_path, monkeypatch
):
    """One test for all, since the server takes seconds to start again."""
    monkeypatch.setattr(lease, "SECONDS_TO_INSIST", 0)
    picture, job, doomed = make_picture(tmp_path), make_job(), make_picture(tmp_path)
    back.stop()
    browser = Browser(raise_request_exception=False)
    answers = [browser.get(f"/data/outputs/{picture.code}"), send(browser, photos)]
    assert [(answer.status_code, answer["Retry-After"]) for answer in answers] == [(503, "5")] * 2
    assert all("storage" in answer.json()["detail"] for answer in answers)
    assert not TrainingPhoto.objects.exists()
    assert health.parts()["storage"] == "not usable; look at STORAGE_URL"
    assert "can't be used" in doctor.stored_files()[0]

    for attempt in (1, 2, 3):
        claimed = status_changes.claim(job.code)
        assert claimed.attempt == attempt
        runner.run(claimed)
    job.refresh_from_db()
    assert (job.status, job.error_code) == ("failed", "internal_error") and "storage" in job.error_message

    assert deletion.delete(doomed.code, "somebody") and not Job.objects.filter(code=doomed.code).exists()
    sweep.attempt()  # says so in the log, and no more
    back.start()
    assert browser.get(f"/data/outputs/{picture.code}").getvalue() == b"picture"
    assert doomed.output.name in back.names()
    sweep.remove_files(writing_seconds=0)
    assert doomed.output.name not in back.names() and picture.output.name in back.names()
    assert health.parts()["storage"] == "ok"


def test_a_picture_is_fetched_from_the_s3_server_by_a_presigned_url(bucket, settings, tmp_path, client):
    picture = make_picture(tmp_path, make_client("front-end")[0])
    settings.OUTPUT_SERVER = f"http://127.0.0.1:{bucket.port}"
    assert client.get(f"/data/outputs/{picture.code}").status_code == 404  # nobody's but the client's
    url = f"/data/outputs/{picture.code}?sig={tokens.sign_output(picture.code)}"
    redirect = client.get(url)
    assert redirect.status_code == 302 and redirect["Cache-Control"] == "private, no-store"
    answer = requests.get(redirect["Location"], timeout=10)
    assert (answer.content, answer.headers["Content-Type"]) == (b"picture", "image/png")
    assert answer.headers["Cache-Control"] == "private, no-store"
    assert requests.head(client.head(url)["Location"], timeout=10).status_code == 200

    unsigned, query = redirect["Location"].split("?")
    other = default_storage.save("outputs/1.png", ContentFile(b"another"))
    changed = [unsigned, f"{unsigned.replace(picture.output.name, other)}?{query}"]
    assert [requests.get(url, timeout=10).status_code for url in changed] == [403, 403]
    deletion.delete(picture.code, "somebody")
    assert requests.get(redirect["Location"], timeout=10).status_code == 404


def test_staff_get_a_picture_through_the_web_server(bucket, settings, tmp_path, admin_client):
    picture = make_picture(tmp_path)
    settings.OUTPUT_SERVER = f"http://127.0.0.1:{bucket.port}"
    assert admin_client.get(f"/data/outputs/{picture.code}").getvalue() == b"picture"


def test_a_write_that_must_succeed_waits_until_the_server_is_back(bucket, tmp_path, monkeypatch):
    job, problems = status_changes.claim(make_job().code), []
    (tmp_path / "picture.png").write_bytes(b"picture")
    fails_twice = iter([storage.Away("gone"), storage.Away("gone")])
    end = status_changes.finish_generation

    def finish():
        if problem := next(fails_twice, None):
            problems.append(problem)
            raise problem
        return end(job, tmp_path / "picture.png")

    assert lease.insist(finish) and len(problems) == 2


@pytest.mark.parametrize(("change", "said"), [("SECRET", "403"), ("bucket", "no such bucket")])
def test_a_wrong_secret_or_bucket_is_named_and_is_no_missing_file(change, said, bucket, settings, tmp_path):
    picture = make_picture(tmp_path)
    url = bucket.url.replace("%2Bwith", "%2Bwithout") if change == "SECRET" else bucket.url + "-none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_URL", url)
        options = Environment(settings.BASE_DIR).bucket("STORAGE_URL")
    stored = {"BACKEND": "diffuser_api.storage.bucket.Bucket", "OPTIONS": options}
    settings.STORAGES = settings.STORAGES | {"default": stored}
    assert said in doctor.stored_files()[0]
    if change == "SECRET":
        answer = Browser(raise_request_exception=False).get(f"/data/outputs/{picture.code}")
        assert answer.status_code == 503
