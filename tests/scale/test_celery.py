"""Workers of Celery's, on real brokers. A message only wakes a worker up: the rows are the queue."""

import contextlib
import importlib
import json
import signal

import psutil
import pytest
from django.db import connection

from benchmarks.harness import brokers
from benchmarks.harness.clients import make_job, make_lora, make_training
from benchmarks.harness.running_worker import celery_worker, is_gone, wait_until
from diffuser_api.models import Job, PoiImage, Worker

pytest.importorskip("celery")  # of requirements-scale.txt
pytestmark = pytest.mark.skipif(connection.vendor != "postgresql", reason="runs in: make test-scale")
NO_MODELS = {"STEP_ISOLATION": "spawn"}  # none is loaded before a step
ENDLESS = {"TRAINING_STEPS": "1000000"}
WAITING = dict.fromkeys(("pose", "detail", "harmonize", "face", "train"), 0.1)
SIMULATED = {"app": "benchmarks.harness.simulated.celery", "SIMULATED_SECONDS": json.dumps(WAITING)}


@pytest.fixture(scope="module", params=brokers.BROKERS)
def broker(request):
    with brokers.running(request.param) as started:
        yield started


@pytest.fixture
def messages(broker, settings):
    """Celery's application in this process, for this broker."""
    settings.CELERY_BROKER_URL = broker.url
    from diffuser_api.jobs import celery_app

    importlib.reload(celery_app)
    yield celery_app
    celery_app.app.close()


@contextlib.contextmanager
def running(messages, *options: str, **settings: str):
    """A worker that answers remote control."""
    with celery_worker(*options, CELERY_BROKER_URL=messages.app.conf.broker_url, **settings) as process:
        wait_until(lambda: messages.app.control.ping(timeout=1))
        yield process


def make_short_job() -> Job:
    """It fails at once, for a reason that has nothing to do with messages."""
    job = make_job()
    PoiImage.objects.filter(pk=job.poi_image_id).update(image="pois/gone.png")
    return job


def the(job: Job) -> Job:
    return Job.objects.get(pk=job.pk)


def is_run(job: Job) -> bool:
    return the(job).error_code == "unusable_files" and the(job).worker == ""


def number_of_tasks(messages) -> int:
    """How many messages the workers have taken."""
    stats = wait_until(messages.app.control.inspect(timeout=1).stats)
    return sum(one["total"].get(messages.WORK, 0) for one in stats.values())


def number_of_messages(messages, step: str) -> int:
    with messages.app.connection_for_read() as asking:
        return messages.app.amqp.queues[step](asking).queue_declare().message_count


def test_messages_that_come_once_never_or_too_often_run_each_job_once(catalogue, messages, settings):
    with running(messages, WORKER_STEPS="pose", **NO_MODELS):
        wait_until(Worker.objects.exists)
        assert [worker.steps for worker in Worker.objects.all()] == [["pose"]]
        told = make_short_job()
        wait_until(lambda: is_run(told))
        wait_until(lambda: number_of_tasks(messages) == 1)
        settings.CELERY_BROKER_URL = ""
        untold = make_short_job()
        wait_until(lambda: is_run(untold))
        assert number_of_tasks(messages) == 1
        for _ in range(5):
            messages.send("pose")
        wait_until(lambda: number_of_tasks(messages) == 6)
        assert number_of_messages(messages, "pose") == 0
        assert [job.attempt for job in Job.objects.all()] == [1, 1]


def test_a_broker_that_is_away_holds_no_job_up_and_is_used_again(catalogue, broker, messages):
    with running(messages, "-Q", "pose", **NO_MODELS):
        broker.stop()
        try:
            untold = make_short_job()
            wait_until(lambda: is_run(untold))
        finally:
            broker.start()
        wait_until(lambda: messages.app.control.ping(timeout=1))
        before = number_of_tasks(messages)
        messages.send("pose")
        wait_until(lambda: number_of_tasks(messages) > before)
        told = make_short_job()
        wait_until(lambda: is_run(told))


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_a_job_outlives_a_kill_and_a_stop_of_its_worker(catalogue, messages, photos):
    picture = make_job()
    with running(messages, "-Q", "train", **ENDLESS) as killed:
        training = make_training(photos)
        trainers = wait_until(lambda: children_of(killed, "launch.bash"))
        (runs_jobs,) = psutil.Process(killed.pid).children()
        killed.kill()
        wait_until(lambda: is_gone(runs_jobs) and all(map(is_gone, trainers)))
    assert the(training).status == "running"

    with running(messages, "-Q", "train", **ENDLESS) as stopped:
        wait_until(lambda: children_of(stopped, "launch.bash"))
        assert (the(training).status, the(training).attempt) == ("running", 2)
        stopped.send_signal(signal.SIGTERM)
        assert stopped.wait(60) == 0
    assert (the(training).status, the(training).attempt) == ("queued", 2)
    assert the(picture).status == "queued"  # it waits for a worker of the queue "pose"


@pytest.mark.parametrize("broker", ["redis"], indirect=True)
def test_workers_without_a_common_folder_hand_a_picture_on_through_the_bucket(
    bucket, catalogue, messages, tmp_path
):
    """The steps only wait: `test_machines_that_share_nothing` paints."""
    folders = [tmp_path / "painter", tmp_path / "face"]
    with contextlib.ExitStack() as stack:
        for folder, steps in zip(folders, ("pose,detail,harmonize", "face"), strict=True):
            own = {name: str(folder / name) for name in ("DATA_DIR", "TMP_DATA_DIR", "TRAINING_APP_DIR")}
            options = ("-n", f"{folder.name}@here", "-Q", steps)
            broker = {"CELERY_BROKER_URL": messages.app.conf.broker_url}
            stack.enter_context(celery_worker(*options, **SIMULATED, **own, **broker))
        job = make_job(lora=make_lora("12345678"))
        wait_until(lambda: the(job).is_finished and not the(job).worker)
        wait_until(lambda: not (folders[1] / "TMP_DATA_DIR" / job.code).exists())
    assert (the(job).status, the(job).attempt, the(job).error_message) == ("succeeded", 1, "")
    assert [one["step"] for one in the(job).timings] == ["pose", "detail", "detail", "harmonize", "face"]
    stored = {name.split("/")[0] for name in bucket.names()}
    assert {"loras", "outputs", "bodies"} <= stored and "work" not in stored


def children_of(process, word: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(word in part for part in child.cmdline()):
                found.append(child)
    return found
