"""Webhooks: what is told and when, signatures, bad receivers, addresses that must not be reached."""

import json
import logging
import time
from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks.webhooks import WebhookVerificationError

from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_catalogue
from benchmarks.harness.clients import make_client, make_job
from benchmarks.harness.receivers import drip, gigabyte, hang, receiving, refusing, say, status
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job, Webhook
from diffuser_api.webhooks import guarded_post, outbox, retries
from diffuser_api.webhooks.sender import THREADS_OF_A_HOST, Sender
from tests.webhooks.look_ups import names

LOCAL = ["127.0.0.0/8"]


@pytest.fixture
def catalogue(db):
    return make_catalogue()


@pytest.fixture(autouse=True)
def this_host_may_be_told(settings):
    settings.WEBHOOK_ALLOW_HTTP = True
    settings.WEBHOOK_ALLOWED_NETWORKS = LOCAL


@pytest.fixture
def sender():
    sender = Sender()
    yield sender
    sender.finish()


def work(sender: Sender, until, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, list(Webhook.objects.values())
        sender.step()


def job_with(url: str, client=None) -> Job:
    job = make_job(client)
    Job.objects.filter(pk=job.pk).update(webhook_url=url)
    return job


def one_message(url: str) -> Webhook:
    """That a job is running."""
    status_changes.claim(job_with(url).code)
    return Webhook.objects.latest("created_at")


def told(receiver) -> list[str]:
    return [json.loads(request.partition(b"\r\n\r\n")[2])["type"] for request in receiver.requests]


# --- what is told -------------------------------------------------------------------------------------------


def test_every_change_is_sent_once_and_signed(catalogue, client, sender):
    owner, headers = make_client("front")
    with receiving(status(204)) as receiver:
        body = a_request(webhook_url=receiver.url)
        code = client.post("/api/generate-image/", body, "application/json", headers=headers).json()["code"]
        job = status_changes.claim(code)
        assert status_changes.claim(code) is None
        assert status_changes.fail(job, "step_failed", "no luck") and not status_changes.fail(
            job, "step_failed", "again"
        )
        work(sender, lambda: not Webhook.objects.filter(status="pending").exists())
        sender.step()
    assert sorted(told(receiver)) == ["job.failed", "job.queued", "job.running"]
    for request in receiver.requests:
        head, _, content = request.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")[1:]]
        sent = {name: value for name, _, value in lines}
        data = Verifier(outbox.key_of(owner)).verify(content, sent)["data"]
        assert (data["code"], data["kind"], data["attempt"]) == (code, "generation", 1)
        with pytest.raises(WebhookVerificationError):
            Verifier(outbox.key_of(None)).verify(content, sent)
        if data["status"] == "failed":
            assert data["error"] == {"code": "step_failed", "message": "no luck"}
    assert receiver.requests[0].startswith(b"POST /hook?key=1 HTTP/1.1\r\n")
    assert set(Webhook.objects.values_list("status", "attempts")) == {("delivered", 1)}


def test_a_trainings_changes_are_sent_too(client, catalogue, photos):
    from django.core.files.uploadedfile import SimpleUploadedFile

    files = [SimpleUploadedFile(f"{k}.png", photo) for k, photo in enumerate(photos)]
    body = {"images": files, "webhook_url": "https://front.example/hook"}
    assert client.post("/api/lora-training/", body).status_code == 202
    assert [(hook.event, hook.host) for hook in Webhook.objects.all()] == [("job.queued", "front.example")]


def test_a_change_that_is_rolled_back_is_not_sent(catalogue):
    job = job_with("https://front.example/")
    with pytest.raises(RuntimeError), transaction.atomic():
        status_changes.claim(job.code)
        raise RuntimeError
    assert not Webhook.objects.exists()


@pytest.mark.parametrize(
    "url",
    ["http://a.example/", "ftp://a.example/", "https://", "https://u:p@a.example/", "https://à.example/"]
    + ["https://a.example:99999/", "//a.example", "https://" + "a" * 600, "https://[::1", "x\0y"]
    + [
        "https://a\x1bc.example/",
        "https://a.example/?\r\nX: y",
        "https://a .example/",
        "https://a.example/a b",
    ],
)
def test_a_wrong_webhook_url_is_refused(url, client, catalogue, settings):
    settings.WEBHOOK_ALLOW_HTTP = False
    answer = client.post("/api/generate-image/", a_request(webhook_url=url), "application/json")
    assert answer.status_code == 400 and "webhook_url" in answer.json()
    assert not Job.objects.exists()


# --- receivers that misbehave -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (status(500), "answered 500"),
        (hang, "no answer in time"),
        (drip, "no answer in time"),
        (say("nonsense"), "BadStatusLine"),
        (say(""), "RemoteDisconnected"),
        (say("HTTP/1.1 200 OK\r\n" + "X: y\r\n" * 500), "HTTPException"),
        (say("HTTP/1.1 200 " + "x" * 100_000), "LineTooLong"),
    ],
    ids=["500", "hangs", "drips", "no HTTP", "nothing", "many headers", "long line"],
)
def test_a_receiver_that_answers_badly_is_tried_again(answer, result, catalogue, sender, monkeypatch, caplog):
    monkeypatch.setattr(guarded_post, "SECONDS", 1.0)
    with receiving(answer) as receiver, caplog.at_level(logging.INFO, "diffuser_api.webhooks.retries"):
        hook = one_message(receiver.url)
        work(sender, lambda: Webhook.objects.get(pk=hook.pk).last_result)
    hook.refresh_from_db()
    assert result in hook.last_result and (hook.status, hook.attempts) == ("pending", 1)
    assert 3 < (hook.next_try_at - timezone.now()).total_seconds() < 7
    [line] = [record.getMessage() for record in caplog.records if "webhook" in record.getMessage()]
    assert hook.job.code in line and result in line and "key=1" not in line


def test_a_receiver_that_refuses_the_connection_is_tried_again(catalogue, sender):
    hook = one_message(refusing())
    work(sender, lambda: Webhook.objects.get(pk=hook.pk).last_result)
    assert "ConnectionRefusedError" in Webhook.objects.get(pk=hook.pk).last_result


def test_an_answer_of_a_gigabyte_is_not_read(catalogue, sender):
    with receiving(gigabyte) as receiver:
        hook = one_message(receiver.url)
        work(sender, lambda: Webhook.objects.get(pk=hook.pk).status == "delivered")
    assert receiver.sent < 16 * 2**20  # what the kernel's buffers hold


def test_a_redirect_is_not_followed(catalogue, sender):
    with receiving(status(200)) as inside:
        with receiving(status(302, f"Location: {inside.url}\r\n")) as receiver:
            hook = one_message(receiver.url)
            work(sender, lambda: Webhook.objects.get(pk=hook.pk).last_result)
        assert len(receiver.requests) == 1 and not inside.requests
    hook.refresh_from_db()
    assert hook.status == "pending" and "redirects are not followed" in hook.last_result


def test_after_a_day_of_tries_a_webhook_is_dead_and_can_be_sent_again(catalogue, sender, admin_client):
    with receiving(status(500)) as receiver:
        hook = one_message(receiver.url)
        spent = 0.0
        for attempt in range(1, len(retries.PAUSES) + 2):
            work(
                sender, lambda n=attempt: Webhook.objects.get(pk=hook.pk).attempts == n and not sender.running
            )
            hook.refresh_from_db()
            if hook.status == "pending":
                spent += (hook.next_try_at - timezone.now()).total_seconds()
                Webhook.objects.filter(pk=hook.pk).update(next_try_at=timezone.now())
        assert hook.status == "dead" and 20 * 3600 < spent < 28 * 3600
    page = admin_client.get("/admin/diffuser_api/webhook/?status__exact=dead").content.decode()
    assert hook.job.code in page and "answered 500" in page
    with receiving(status(200)) as receiver:
        Job.objects.filter(pk=hook.job.pk).update(webhook_url=receiver.url)
        body = {"action": "send_again", "_selected_action": [str(hook.pk)]}
        assert admin_client.post("/admin/diffuser_api/webhook/", body).status_code == 302
        work(sender, lambda: Webhook.objects.get(pk=hook.pk).status == "delivered")


def test_a_receiver_that_answers_gone_gets_no_more(catalogue, sender):
    with receiving(status(410)) as receiver:
        hook = one_message(receiver.url)
        work(sender, lambda: Webhook.objects.get(pk=hook.pk).status == "dead")


def test_hanging_receivers_delay_no_other(catalogue, sender, monkeypatch):
    """Fifty messages wait for a receiver that hangs; another's is delivered before one of them ends."""
    monkeypatch.setattr(guarded_post, "SECONDS", 5.0)
    with receiving(hang) as hanging, receiving(status(200)) as receiver:
        names(monkeypatch, ["127.0.0.1"])
        for _ in range(50):
            one_message(hanging.url.replace("127.0.0.1", "hanging.example"))
        good = one_message(receiver.url)
        work(sender, lambda: Webhook.objects.get(pk=good.pk).status == "delivered")
        assert not Webhook.objects.exclude(last_result="").exclude(pk=good.pk).exists()
        assert len(sender.running) == THREADS_OF_A_HOST


def test_a_try_from_before_the_clock_was_set_back_is_not_put_off(catalogue):
    one_message("https://receiver.example/hook")
    Webhook.objects.update(next_try_at=timezone.now() + timedelta(days=1))
    assert retries.next_due(set(), set()) is not None


def test_a_try_whose_sender_died_is_made_again(catalogue, sender):
    with receiving(status(200)) as receiver:
        hook = one_message(receiver.url)
        assert retries.next_due(set(), set()).pk == hook.pk  # taken, and nothing came of it
        assert retries.next_due(set(), set()) is None
        later = timezone.now() - timedelta(seconds=1)
        Webhook.objects.filter(pk=hook.pk).update(next_try_at=later)  # the lease has passed
        work(sender, lambda: Webhook.objects.get(pk=hook.pk).status == "delivered")
    assert len(receiver.requests) == 1


# --- addresses ----------------------------------------------------------------------------------------------


PRIVATE = ["127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "224.0.0.1"]
PRIVATE += ["100.64.0.1", "255.255.255.255", "::1", "fe80::1", "fc00::1", "ff02::1", "::", "::ffff:10.0.0.1"]
PRIVATE += ["::127.0.0.1"]
PRIVATE += [
    "fec0::1",
    "3fff::1",
    "2001:20::1",
    "192.88.99.1",
    "::ffff:192.88.99.1",
    "64:ff9b:1::1",
    "5f00::1",
]
PRIVATE += ["64:ff9b::7f00:1", "2002:7f00:1::", "2002:a00:1::", "240.0.0.1", "192.0.2.1", "2001:db8::1"]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_not_reached(address, monkeypatch):
    names(monkeypatch, [address])
    with pytest.raises(guarded_post.NotPosted, match="not a public address"):
        guarded_post.look_up("evil.example", 443, [])


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_may_be_reached(address, monkeypatch):
    names(monkeypatch, [address])
    assert guarded_post.look_up("good.example", 443, []) == [address]


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    names(monkeypatch, ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(guarded_post.NotPosted):
        guarded_post.look_up("evil.example", 443, [])


def test_numbers_that_mean_this_host_are_looked_up_like_names():
    for host in ("127.1", "2130706433", "0x7f000001", "0177.0.0.1", "localhost", "[::1]"):
        with pytest.raises(guarded_post.NotPosted):
            guarded_post.post(f"http://{host}:9/", b"", {}, True, [])


def test_a_name_that_resolves_anew_after_the_check_reaches_no_other_host(monkeypatch):
    """First what is allowed here, then another host of this network; the second answer is never asked for."""
    with receiving(status(200)) as receiver:
        asked = names(monkeypatch, ["127.0.0.1"], ["10.0.0.1"])
        url = f"http://rebinding.example:{receiver.port}/"
        assert guarded_post.post(url, b"{}", {}, True, LOCAL) == 200
        assert asked.count("rebinding.example") == 1
        assert f"Host: rebinding.example:{receiver.port}\r\n".encode() in receiver.requests[0]
        with pytest.raises(guarded_post.NotPosted, match="10.0.0.1"):
            guarded_post.post(url, b"{}", {}, True, LOCAL)
        assert len(receiver.requests) == 1
