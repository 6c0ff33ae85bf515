"""Idempotency-Key: the same request again is the same job, never a second."""

import threading
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.utils import timezone

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.clients import make_order
from diffuser_api.jobs import deletion, orders
from diffuser_api.models import IdempotencyKey, Job, PoiImage

GENERATE, TRAIN = "/api/generate-image/", "/api/lora-training/"


def ask(client, key: str | None, **changes):
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(GENERATE, a_request(**changes), "application/json", headers=headers)


def train(client, key: str, photos: list[bytes]):
    files = [SimpleUploadedFile(f"{n}.png", photo, "image/png") for n, photo in enumerate(photos)]
    return client.post(TRAIN, {"images": files}, headers={"Idempotency-Key": key})


def test_the_same_key_gives_the_same_answer(client, catalogue):
    first, second = ask(client, "k"), ask(client, "k")
    assert first.status_code == second.status_code == 202
    assert first.json() == second.json() and Job.objects.count() == 1


def test_other_keys_or_none_make_other_jobs(client, catalogue):
    codes = {ask(client, key).json()["code"] for key in ("a", "b", None, None)}
    assert len(codes) == 4


def test_the_same_key_with_another_body_is_refused(client, catalogue, photos):
    ask(client, "k")
    for answer in (ask(client, "k", age="old"), train(client, "k", photos)):
        assert answer.status_code == 422 and "new one" in answer.json()["detail"]
    assert Job.objects.count() == 1


def test_photos_are_compared_by_content(client, transactional_db, photos, own_data_folder):
    first, second = train(client, "k", photos), train(client, "k", photos)
    assert first.json() == second.json() and len(list(own_data_folder.glob("photos/*"))) == 5
    assert train(client, "k", photos[::-1]).status_code == 422


def test_a_refused_request_does_not_use_the_key_up(client, catalogue):
    assert ask(client, "k", age="ancient").status_code == 400
    assert ask(client, "k").status_code == 202


def test_the_answer_stays_when_the_catalogue_changes(client, catalogue):
    first = ask(client, "k").json()
    PoiImage.objects.all().delete()
    assert ask(client, "k").json() == first


def test_many_at_once_make_one_job(catalogue):
    answers = []

    def send():
        answers.append(ask(Client(), "k"))
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["code"] for answer in answers}) == Job.objects.count() == 1


def test_of_two_that_found_no_job_the_second_gets_the_firsts_or_is_refused(catalogue):
    def make(body: str) -> Job:
        return orders.create_job(
            make_order(idempotency_key=IdempotencyKey(owner="/", key="k", body_hash=body))
        )

    first = make("a")
    assert make("a").pk == first.pk
    with pytest.raises(orders.KeyUsedOtherwise):
        make("b")
    assert Job.objects.count() == 1


def test_a_key_is_kept_for_a_day(client, catalogue):
    first = ask(client, "k").json()["code"]
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=23))
    deletion.forget_keys()
    assert ask(client, "k").json()["code"] == first
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert ask(client, "k").json()["code"] != first
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert deletion.forget_keys() == 1 and not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_a_malformed_key_is_refused(key, client, catalogue):
    answer = ask(client, key)
    assert answer.status_code == 400 and "Idempotency-Key" in answer.json()
    assert not Job.objects.exists()
