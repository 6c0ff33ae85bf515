"""Messages to workers are sent by a thread, and only where a broker is set."""

import os
import socket
import subprocess
import sys

import pytest

from benchmarks.harness import ROOT
from benchmarks.harness.running_worker import environment
from diffuser_api.models import Job


def python(code: str, **settings: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", f"import django; django.setup()\n{code}"]
    variables = environment() | settings
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120)


def test_by_default_neither_web_nor_worker_imports_what_only_several_machines_need(catalogue):
    code = """
import sys
from django.urls import get_resolver
get_resolver().url_patterns
from diffuser_api.management.commands import web, worker
from benchmarks.harness.clients import make_job
make_job()
worker.Worker(interval=0.1).stop
only = {"celery", "kombu", "amqp", "redis", "storages", "boto3", "botocore"}
print(sorted({name.split(".")[0] for name in sys.modules} & only))
"""
    done = python(code)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
    assert Job.objects.count() == 1


def test_a_request_does_not_wait_for_a_broker_that_never_answers(catalogue, settings):
    pytest.importorskip("celery")
    code = """
from benchmarks.harness.clients import make_job
make_job()
connection, _ = server.accept()  # the thread has tried
print("made")
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}//"
        begin = f"import socket; server = socket.socket(fileno={silent.fileno()})"
        command = [sys.executable, "-c", f"import django; django.setup()\n{begin}\n{code}"]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment() | {"CELERY_BROKER_URL": url},
            capture_output=True,
            text=True,
            timeout=120,
            pass_fds=[silent.fileno()],
        )
    assert done.stdout.strip() == "made", done.stderr
    assert Job.objects.count() == 1


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis//host"])
def test_a_broker_that_is_no_url_of_one_stops_the_start_without_saying_its_password(url):
    done = python("", CELERY_BROKER_URL=f"{url}:secret")
    assert done.returncode and "CELERY_BROKER_URL must be a URL such as amqp://" in done.stderr
    assert "secret" not in done.stderr


def test_celery_starts_with_a_broker_and_known_queues_only():
    pytest.importorskip("celery")
    command = [sys.executable, "-m", "celery", "-A", "djangoproject", "worker", "-Q", "hair"]
    for url, reason in (("", "CELERY_BROKER_URL"), ("redis://127.0.0.1:1/0", "hair")):
        variables = os.environ | {"CELERY_BROKER_URL": url}
        done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode and reason in done.stderr
