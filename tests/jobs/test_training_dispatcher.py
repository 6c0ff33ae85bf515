"""Trainings by the real worker that go wrong on the way: the job says why, and no file or process is left."""

import os
import subprocess
import sys

import psutil
import pytest

from benchmarks.harness import ROOT
from benchmarks.harness.api_client import get_json, post, post_photos, wait_for
from benchmarks.harness.catalogue import make_photos
from benchmarks.harness.running_service import words_of
from benchmarks.harness.running_worker import wait_until

POST_BACK = ROOT / "training-app" / "post-back.py"


pytestmark = pytest.mark.usefixtures("sd15_family")  # its 1500 steps leave time to disturb a training


@pytest.fixture
def training(server_and_worker):
    _, answer = post_photos(f"{server_and_worker.url}/api/lora-training/", make_photos())
    return answer


def processes_of(service) -> dict[str, psutil.Process]:
    """The running training's processes by the script they run."""
    found = {}
    for process in psutil.Process(service.processes["worker"].pid).children(recursive=True):
        for script in ("launch.bash", "train_network.py"):
            if script in words_of(process) and script not in found:
                found[script] = process
    return found


def kill_when_training(victim: str, training, service) -> None:
    wait_until(lambda: len(processes_of(service)) == 2 and trained_a_little(training), 90)
    running = processes_of(service)
    running[victim].kill()
    wait_until(lambda: not any(process.is_running() for process in running.values()), 30)


def trained_a_little(training) -> bool:
    return get_json(training["status_url"])["progress"] > 0


def test_a_missing_model_fails_the_training_at_once(family, training, server_and_worker):
    hidden = family / "text2img"
    away = hidden.rename(family / "away")
    try:
        last = wait_for(training["status_url"], 120)[-1]
    finally:
        away.rename(hidden)
    assert last["status"] == "failed" and last["error"]["code"] == "training_failed"
    assert str(hidden) in last["error"]["message"]
    wait_until(lambda: not server_and_worker.working_files(), 30)  # bash clears up after it has told


def test_a_killed_training_goes_on_and_fails_with_the_reason_after_three_times(training, server_and_worker):
    for victim in ("train_network.py", "launch.bash", "train_network.py"):
        kill_when_training(victim, training, server_and_worker)
    last = wait_for(training["status_url"], 60)[-1]
    assert last["status"] == "failed"
    assert "killed (signal 9): is there enough memory? (in each of 3 attempts)" in last["error"]["message"]
    wait_until(lambda: not server_and_worker.working_files(), 30)


def deliver(url: str, code: str, token: str | None) -> subprocess.CompletedProcess:
    environment = {"PATH": os.environ["PATH"], "SERVER_URL": url}
    if token is not None:
        environment["CALLBACK_TOKEN"] = token
    command = [sys.executable, str(POST_BACK), code, "--error", "no reason at all"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_only_the_right_token_is_taken_and_once(training, server_and_worker):
    launch = wait_until(lambda: processes_of(server_and_worker).get("launch.bash"), 90)
    token, code = launch.environ()["CALLBACK_TOKEN"], training["lora_code"]
    wait_until(lambda: trained_a_little(training), 90)
    for wrong in ("", "wrong", token[:-1], None):
        refused = deliver(server_and_worker.url, code, wrong)
        assert refused.returncode == 1, wrong
    assert get_json(training["status_url"])["status"] == "running"
    assert deliver(server_and_worker.url, code, token).returncode == 0
    used = deliver(server_and_worker.url, code, token)
    assert used.returncode == 1 and "403" in used.stderr
    last = get_json(training["status_url"])
    assert last["status"] == "failed" and last["error"]["message"] == "no reason at all"
    processes_of(server_and_worker)["launch.bash"].terminate()
    wait_until(lambda: not server_and_worker.working_files(), 30)


def test_the_secret_key_and_the_database_stay_with_the_worker(training, server_and_worker):
    launch = wait_until(lambda: processes_of(server_and_worker).get("launch.bash"), 90)
    assert not {"SECRET_KEY", "DATABASE_URL", "DJANGO_SETTINGS_MODULE"} & set(launch.environ())
    assert launch.environ()["CALLBACK_TOKEN"] not in " ".join(launch.cmdline())
    assert post(f"{training['status_url']}cancel/", b"", "application/json")[0] == 202
    wait_until(lambda: not launch.is_running() and not server_and_worker.working_files(), 30)
