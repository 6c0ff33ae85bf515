"""One stranger with many cookies keeps nobody else waiting, and passes no limit."""

import threading

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client as Browser

from benchmarks.harness.api_requests import a_request, send
from benchmarks.harness.catalogue import make_catalogue, make_photos
from benchmarks.harness.clients import make_client, make_order
from diffuser_api.access import addresses
from diffuser_api.jobs import orders, queue, status_changes
from diffuser_api.models import Client, Job
from diffuser_api.photos import gate
from studio import forms

STRANGER, HONEST = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def rows(db):
    """A catalogue that is rolled back at the end: no thread looks on."""
    return make_catalogue()


def job_from(client: Client, address: str, visitor: str) -> Job:
    return orders.create_job(make_order(client=client, address=address, visitor=visitor))


def test_a_hundred_jobs_from_twenty_cookies_of_one_address_are_one_turn(rows):
    client, _ = make_client("studio")
    hundred = [job_from(client, STRANGER, f"cookie {n}") for n in range(45)]
    assert status_changes.claim_next().pk == hundred[0].pk
    honest = job_from(client, HONEST, "anna")
    assert queue.position(honest) == 1  # the one that runs
    assert status_changes.claim_next().pk == honest.pk


def test_visitors_of_one_address_take_turns(rows):
    client, _ = make_client("studio")
    greedy = [job_from(client, HONEST, "bruno") for _ in range(5)]
    modest = job_from(client, HONEST, "anna")
    claimed = [status_changes.claim_next().pk for _ in range(3)]
    assert claimed == [greedy[0].pk, modest.pk, greedy[1].pk]


def test_visitors_of_a_front_end_with_one_token_take_turns(rows, client):
    _, token = make_client("front-end")
    for visitor in ("bruno", "bruno", "bruno", "anna"):
        headers = token | {"X-Visitor": visitor}
        url = "/api/generate-image/"
        assert client.post(url, a_request(), "application/json", headers=headers).status_code == 202
    order = [waiting.visitor for waiting in queue.in_turn()]
    assert order == ["bruno", "anna", "bruno", "bruno"]


def test_a_stranger_who_fills_the_studio_refuses_no_honest_visitor(rows, settings):
    settings.STUDIO, settings.OPEN_API = True, False
    settings.MAX_JOBS_WAITING = 10
    place = rows.images.first().pk
    wish = {"place": place, "action": "waving", "shot": "MES", "how": "figure", "age": "adult"}
    wish |= {"gender": "woman", "clothes": "", "words": "", "face": ""}
    statuses = [
        Browser(REMOTE_ADDR=STRANGER).post("/postcard/", wish).status_code for _ in range(12)
    ]  # each with a new cookie
    assert statuses == [302] * 10 + [400] * 2
    assert Browser(REMOTE_ADDR=HONEST).post("/postcard/", wish).status_code == 302


def test_one_visitor_of_a_client_leaves_room_for_the_others(rows, client, settings):
    settings.MAX_JOBS_WAITING = 20
    _, token = make_client("front-end")

    def ask(visitor: str) -> int:
        headers = token | {"X-Visitor": visitor}
        return client.post(
            "/api/generate-image/", a_request(), "application/json", headers=headers
        ).status_code

    assert [ask("bruno") for _ in range(6)] == [202] * 4 + [429] * 2
    assert ask("anna") == 202


def test_people_behind_one_address_each_get_a_first_job_in(rows, settings):
    settings.MAX_JOBS_WAITING = 10
    client, _ = make_client("studio")
    for visitor in ("anna", "bruno"):
        job_from(client, HONEST, visitor)
    with pytest.raises(queue.QueueFull):
        job_from(client, HONEST, "anna")
    assert job_from(client, HONEST, "carla")


def test_a_front_end_that_tells_its_visitors_addresses_has_them_parted(rows, client, settings):
    settings.MAX_JOBS_WAITING = 5
    _, token = make_client("front-end")

    def ask(visitor: str, address: str) -> int:
        headers = token | {"X-Visitor": visitor, "X-Visitor-Address": address}
        return client.post(
            "/api/generate-image/", a_request(), "application/json", headers=headers
        ).status_code

    assert [ask(f"cookie{n}", STRANGER) for n in range(6)] == [202] * 5 + [429]
    assert ask("anna", HONEST) == 202
    assert ask("anna", "not an address") == 400
    assert not Job.objects.filter(sender__contains=STRANGER[:4]).exists()  # no address is kept


def test_an_address_of_the_network_counts_as_one(rows):
    assert addresses.network_of("2001:db8::1") == addresses.network_of("2001:db8::2")
    assert addresses.network_of("::ffff:198.51.100.7") == STRANGER


def test_twelve_requests_at_once_of_a_visitor_make_five_jobs(catalogue):
    client, _ = make_client("studio")
    start, refused = threading.Barrier(12), []

    def ask():
        start.wait()
        try:
            orders.create_job(make_order(client=client, visitor="anna", at_once=forms.JOBS_AT_ONCE))
        except queue.VisitorBusy:
            refused.append(1)
        finally:
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Job.objects.count(), len(refused)) == (forms.JOBS_AT_ONCE, 12 - forms.JOBS_AT_ONCE)


def test_what_photos_cost_counts_and_not_how_many_they_are(rows, client, settings, monkeypatch):
    """A small file can be a huge picture."""
    settings.PHOTO_RATE = (10, 60)
    monkeypatch.setattr(gate, "_look_at", lambda files: [gate.Seen(seconds=6.0, clean=b"")])

    def check(address: str) -> int:
        photo = SimpleUploadedFile("a.png", b"photo")
        answer = client.post("/api/photos/check/", {"image": photo}, REMOTE_ADDR=address)
        return answer.status_code, answer.get("Retry-After")

    settings.OPEN_API_NETWORKS = ["0.0.0.0/0"]
    assert [check(STRANGER)[0] for _ in range(3)] == [200, 200, 429]
    status, seconds = check(STRANGER)
    assert status == 429 and 1 <= int(seconds) <= 60
    assert check(HONEST)[0] == 200


def test_the_gate_says_what_a_photo_cost():
    [seen] = gate._look_at([SimpleUploadedFile("a.png", make_photos()[0])])
    assert seen.seconds > 0


def test_photos_are_not_looked_at_for_a_training_that_would_be_refused(rows, client, settings, monkeypatch):
    settings.MAX_JOBS_WAITING = 1
    orders.create_job(make_order(address="127.0.0.1"))
    monkeypatch.setattr(gate, "clean_photos", lambda *_, **__: pytest.fail("the photos were looked at"))
    assert send(client, [b"photo"] * 5).status_code == 429
