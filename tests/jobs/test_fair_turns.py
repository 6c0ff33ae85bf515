"""Clients take turns, none fills the queue, and nobody asks too often."""

import threading
from datetime import timedelta

import pytest

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_client, make_job, make_picture
from diffuser_api.access import throttles
from diffuser_api.jobs import queue, runner, status_changes
from diffuser_api.models import Job, PoiImage
from diffuser_api.operations.workers import ALL_STEPS


@pytest.fixture
def catalogue(db):
    """As everywhere, but rolled back at the end, which is quicker: no thread or process looks on here."""
    return make_catalogue()


@pytest.fixture
def two(catalogue):
    return make_client("many"), make_client("few")


def claim_all() -> list[str]:
    codes = []
    while job := status_changes.claim_next():
        codes.append(job.code)
        status_changes.fail(job, "test", "done")
    return codes


def test_one_clients_hundred_jobs_keep_anothers_first_one_no_longer_than_one_turn(two):
    (many, _), (few, _) = two
    hundred = [make_job(many) for _ in range(100)]
    status_changes.claim_next()
    first = make_job(few)
    assert queue.position(first) == 1  # the one that runs
    assert queue.position(hundred[1]) == 2
    assert status_changes.claim_next().code == first.code


def test_position_is_the_order_in_which_jobs_are_claimed(two):
    (many, _), (few, _) = two
    owners = [many, many, many, None, few, many, None, None, few]
    made = [make_job(owner) for owner in owners]
    status_changes.fail(status_changes.claim_next(), "test", "done")  # so that "many" has just had a turn
    waiting = [job for job in Job.objects.filter(status="queued").order_by("pk")]
    foretold = [job.code for job in sorted(waiting, key=queue.position)]
    assert claim_all() == foretold
    assert [queue.position(job) for job in Job.objects.all()] == [None] * len(made)


def test_a_worker_runs_the_jobs_in_turn_whoever_came_first(two):
    (many, _), (few, _) = two
    made = [make_job(owner) for owner in (many, many, many, few)]
    PoiImage.objects.all().delete()  # so that each job ends at once
    assert [runner.run_next(ALL_STEPS, lambda: False) for _ in range(5)] == [True] * 4 + [False]
    started = Job.objects.order_by("started_at").values_list("code", flat=True)
    assert list(started) == [made[0].code, made[3].code, made[1].code, made[2].code]
    assert not Job.objects.filter(status="queued").exists()


def test_the_estimate_counts_the_jobs_whose_turn_comes_before(two, monkeypatch):
    (many, _), (few, _) = two
    monkeypatch.setattr(queue, "typical_seconds", lambda kind: 10.0)
    last = [make_job(many) for _ in range(5)][-1]
    first = make_job(few)
    assert (queue.eta_seconds(first), queue.eta_seconds(last)) == (20, 60)


def test_a_full_queue_of_one_client_refuses_no_other(two, client, settings):
    settings.MAX_JOBS_WAITING = 3
    (_, many), (_, few) = two
    url, body = "/api/generate-image/", a_request()
    statuses = [client.post(url, body, "application/json", headers=many).status_code for _ in range(4)]
    assert statuses == [202, 202, 202, 429]
    answer = client.post(url, body, "application/json", headers=many)
    assert int(answer["Retry-After"]) > 0 and "waiting" in answer.json()["detail"]
    assert client.post(url, body, "application/json", headers=few).status_code == 202
    status_changes.claim_next()
    assert client.post(url, body, "application/json", headers=many).status_code == 202
    assert Job.objects.count() == 5


def test_a_refused_training_leaves_no_photos(two, client, settings, photos, own_data_folder):
    from benchmarks.harness.api_requests import send

    settings.MAX_JOBS_WAITING = 1
    assert send(client, photos).status_code == 202
    before = set(own_data_folder.glob("photos/*"))
    assert send(client, photos).status_code == 429
    assert set(own_data_folder.glob("photos/*")) == before


# --- requests -----------------------------------------------------------------------------------------------


def test_an_address_that_asks_too_often_is_told_when_to_come_again(client, catalogue, settings):
    settings.ADDRESS_RATE = (5, 3600)
    statuses = [client.get("/api/pois/").status_code for _ in range(6)]
    assert statuses == [200] * 5 + [429]
    answer = client.get("/api/pois/")
    assert 600 < int(answer["Retry-After"]) <= 720 and "again" in answer.json()["detail"]
    assert client.get("/api/pois/", REMOTE_ADDR="127.0.0.2").status_code == 200
    assert client.get("/admin/login/").status_code == 429
    assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200


def test_requests_of_each_client_are_counted_apart(two, client, settings):
    settings.CLIENT_RATE, settings.ADDRESS_RATE = (3, 3600), (1, 3600)
    (_, many), (_, few) = two
    assert [client.get("/api/pois/", headers=many).status_code for _ in range(4)] == [200] * 3 + [429]
    assert client.get("/api/pois/", headers=few).status_code == 200
    wrong = {"Authorization": "Bearer cart_wrong"}
    assert client.get("/api/pois/", headers=wrong).status_code == 200
    assert client.get("/api/pois/", headers=wrong).status_code == 429  # guesses count for their address


def test_a_bucket_empties_with_time(settings, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(throttles.time, "time", lambda: now)
    waits = [throttles.take("key", (2, 60)) for _ in range(3)]
    assert waits == [0, 0, 30]
    now += 29
    assert throttles.take("key", (2, 60)) == 1
    now += 1
    assert throttles.take("key", (2, 60)) == 0
    assert throttles.take("key", (0, 60)) == 0  # no limit


@pytest.mark.parametrize("jump", [61, 3600, 86_400])
def test_a_clock_set_back_locks_nobody_out(jump, settings, monkeypatch):
    now = 1_000_000.0
    monkeypatch.setattr(throttles.time, "time", lambda: now)
    assert [throttles.take("key", (2, 60)) for _ in range(3)] == [0, 0, 30]
    now -= jump + 60
    assert [throttles.take("key", (2, 60)) for _ in range(3)] == [0, 0, 30]


def test_a_clock_set_back_during_a_job_gives_no_negative_estimate(catalogue, tmp_path):
    job = make_picture(tmp_path)
    Job.objects.update(started_at=job.finished_at + timedelta(hours=1))
    assert queue.typical_seconds(Job.Kind.GENERATION) == 0


def test_counting_is_exact_among_threads(settings):
    """The counter's file is shared, whoever opens it: a thread here is a web process there."""
    passed = []

    def ask():
        passed.extend(throttles.take("key", (50, 86400)) == 0 for _ in range(20))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(passed) == 160 and sum(passed) == 50


def test_a_damaged_counter_refuses_no_request(client, catalogue, settings):
    (settings.DATA_DIR / "throttles.sqlite3").write_bytes(b"not a database" * 100)
    assert client.get("/api/pois/").status_code == 200
    settings.ADDRESS_RATE = (1, 3600)
    assert [client.get("/api/pois/").status_code for _ in range(2)] == [200, 429]


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "9.9.9.9", "127.0.0.1"),
        (1, "9.9.9.9", "9.9.9.9"),
        (1, "1.1.1.1, 9.9.9.9", "9.9.9.9"),
        (2, "1.1.1.1, 9.9.9.9, 10.0.0.1", "9.9.9.9"),
        (3, "9.9.9.9", "9.9.9.9"),
        (1, "", "127.0.0.1"),
        (1, "x" * 5000, "unknown"),
        (1, "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_the_visitors_address_is_found_behind_as_many_proxies_as_set(
    proxies, forwarded, address, rf, settings
):
    settings.NUM_PROXIES = proxies
    request = rf.get("/", headers={"X-Forwarded-For": forwarded} if forwarded else {})
    assert throttles.address_of(request) == address
