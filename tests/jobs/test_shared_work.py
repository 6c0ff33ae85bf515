"""Real workers that serve a part of the steps each."""

import psutil
import pytest
from django.core.files.base import ContentFile

from benchmarks.harness.clients import make_job, make_training
from benchmarks.harness.running_worker import wait_until, worker
from diffuser_api.jobs import status_changes
from diffuser_api.models import Job, LoraModel

pytestmark = pytest.mark.usefixtures("family")


def the(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def has_template(process) -> bool:
    words = [" ".join(child.cmdline()) for child in psutil.Process(process.pid).children(recursive=True)]
    return any("fork_server" in line for line in words)


def test_two_workers_paint_a_picture_while_a_third_one_trains(catalogue, family, photos):
    weights = (family / "lora.safetensors").read_bytes()
    lora = LoraModel.objects.create(code="12345678", file=ContentFile(weights, "12345678.safetensors"))
    training, picture = make_training(photos), make_job(lora=lora)
    with worker(WORKER_STEPS="train", TRAINING_STEPS="1000000") as trainer:
        wait_until(lambda: the(training).status == "running" and the(training).progress > 0)
        assert not has_template(trainer)  # it holds no models of pictures
        with worker(WORKER_STEPS="pose,detail,harmonize"), worker(WORKER_STEPS="face"):
            wait_until(lambda: the(picture).is_finished)
        assert (the(picture).status, the(picture).attempt) == ("succeeded", 1)
        assert [one["step"] for one in the(picture).timings] == the(picture).steps
        assert the(training).status == "running"
        status_changes.cancel(training.code)
        wait_until(lambda: the(training).worker == "")


def test_a_worker_that_does_all_interrupts_a_training_for_a_picture_and_goes_on_with_it(catalogue, photos):
    training = make_training(photos)
    with worker(TRAINING_STEPS="1000000", TRAINING_YIELDS_AFTER="1"):
        wait_until(lambda: the(training).progress > 0)
        picture = make_job()
        wait_until(lambda: the(picture).is_finished)
        assert (the(picture).status, the(training).attempt) == ("succeeded", 1)
        done = the(training).progress
        wait_until(lambda: the(training).status == "running" and the(training).progress > done)
        status_changes.cancel(training.code)
        wait_until(lambda: the(training).worker == "")
