"""Machines whose clocks differ by five minutes: what one has written is as old for the others as it is."""

import contextlib
import re
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from benchmarks.harness.clients import make_job, make_lora, make_order
from diffuser_api.jobs import orders, status_changes, sweep
from diffuser_api.models import Job, Webhook
from diffuser_api.operations import health, metrics
from diffuser_api.webhooks import retries

pytestmark = pytest.mark.usefixtures("catalogue")
AHEAD = timedelta(minutes=5)
NOBODY = (set(), set())


@contextlib.contextmanager
def another_machine(ahead: timedelta):
    """Django's clock of this process is ahead."""
    now = timezone.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timezone, "now", lambda: now() + ahead)
        yield


@pytest.fixture
def job():
    job = orders.create_job(make_order(webhook_url="https://front.example/hook"))
    Webhook.objects.all().delete()  # that it is queued
    return job


def test_a_message_of_a_machine_whose_clock_is_ahead_is_sent_at_once(job):
    with another_machine(AHEAD):
        status_changes.claim(job.code)
    assert retries.next_due(*NOBODY).event == "job.running"


def test_a_machine_whose_clock_is_ahead_sends_no_message_that_another_is_sending(job):
    status_changes.claim(job.code)
    sending = retries.next_due(*NOBODY)
    with another_machine(AHEAD):
        assert retries.next_due(*NOBODY) is None
    retries.settle(sending, 204, "answered 204")
    assert Webhook.objects.get().status == "delivered"


def test_a_message_that_was_refused_is_due_after_its_pause_whosever_clock_is_asked(job):
    status_changes.claim(job.code)
    with another_machine(AHEAD):
        retries.settle(retries.next_due(*NOBODY), 503, "answered 503")
    pause = Webhook.objects.values_list("next_try_at", flat=True).get() - timezone.now()
    assert timedelta() < pause < timedelta(seconds=10)


@pytest.mark.parametrize("place", ["disk", "bucket"])
def test_a_file_that_was_just_written_is_no_left_over_for_a_machine_whose_clock_is_ahead(place, request):
    if place == "bucket":
        if connection.vendor != "postgresql":
            pytest.skip("runs in: make test-scale")
        request.getfixturevalue("bucket")
    name = default_storage.save("outputs/1.png", ContentFile(b"its row follows"))
    with another_machine(AHEAD):
        sweep.remove_files()
    assert default_storage.exists(name)
    sweep.remove_files(writing_seconds=0)
    assert not default_storage.exists(name)


def test_a_worker_that_beats_is_there_for_a_machine_whose_clock_is_ahead():
    status_changes.claim(make_job().code)
    waiting = make_job()
    Job.objects.filter(pk=waiting.pk).update(created_at=Now() - timedelta(minutes=10))
    with another_machine(AHEAD):
        assert health.parts()["worker"] == "ok"


@pytest.mark.parametrize("ahead", [AHEAD, -AHEAD])
def test_a_job_is_as_old_as_it_is_whosever_clock_made_it(ahead):
    with another_machine(ahead):
        job = make_job()
    assert abs(job.created_at - timezone.now()) < timedelta(minutes=1)
    with another_machine(ahead):
        [age] = re.findall(r'oldest_seconds{kind="generation"} (\S+)', metrics.text().decode())
    assert 0 <= float(age) < 60


def test_a_face_trained_after_a_picture_is_the_newer_one_whosever_clock_is_asked():
    with another_machine(AHEAD):
        picture = make_job()
    assert make_lora("12345678").created_at > picture.created_at
