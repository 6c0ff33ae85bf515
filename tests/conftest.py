"""Every test has a data folder of its own; ``server_and_worker`` starts the real processes."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Before the settings are read: nothing of a test may reach the folders that people use.
_SCRATCH = Path(tempfile.mkdtemp(prefix="cartolina-tests-"))
os.environ["DATA_DIR"] = str(_SCRATCH / "data")
os.environ["TMP_DATA_DIR"] = str(_SCRATCH / "tmp_data")
os.environ["TRAINING_APP_DIR"] = str(_SCRATCH / "training-app")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OPEN_API"] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def pytest_unconfigure(config):
    shutil.rmtree(_SCRATCH, ignore_errors=True)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path, settings):
    """The storage's root is empty at the start of each test."""
    settings.MEDIA_ROOT = tmp_path / "data"
    settings.DATA_DIR = tmp_path / "data"
    settings.OPEN_API = True  # tests of tokens switch it off
    settings.TMP_DATA_DIR = tmp_path / "tmp_data"
    settings.TRAINING_APP_DIR = tmp_path / "training-app"
    for folder in (settings.DATA_DIR, settings.TMP_DATA_DIR, settings.TRAINING_APP_DIR):
        folder.mkdir()
    return settings.DATA_DIR


@pytest.fixture
def catalogue(transactional_db):
    """One place with two images, and two actions: "waving" with three shots, "sitting" with one."""
    from tests.catalogue import make_catalogue

    return make_catalogue()


@pytest.fixture
def photos() -> list[bytes]:
    """Five photos of one drawn person, as PNG files."""
    from tests.catalogue import make_photos

    return make_photos()


@dataclass
class Service:
    """A running server and worker."""

    url: str
    folder: Path
    web: subprocess.Popen
    worker: subprocess.Popen
    start_web: Callable[[], subprocess.Popen]

    def stop_web(self) -> None:
        _end(self.web)

    def start_web_again(self) -> None:
        self.web = self.start_web()
        _wait_until_ready(self.url, self.web)

    def manage(self, *arguments: str) -> str:
        """What a management command prints, on this service's data."""
        return _manage(self.folder, self.url, *arguments)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_ready(url: str, process: subprocess.Popen) -> None:
    for _ in range(300):
        assert process.poll() is None, "the server ended while it started"
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("the server was not ready within a minute")


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


def _environment(folder: Path, url: str) -> dict[str, str]:
    return os.environ | {
        "DATA_DIR": str(folder / "data"),
        "TMP_DATA_DIR": str(folder / "tmp_data"),
        "TRAINING_APP_DIR": str(folder / "training-app"),
        "SERVER_URL": url,
    }


def _manage(folder: Path, url: str, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=_environment(folder, url), check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture(scope="module")
def server_and_worker(tmp_path_factory):
    """gunicorn and worker on a data folder of their own; both are ended, and must end, at last."""
    folder, port = tmp_path_factory.mktemp("service"), _free_port()
    url = f"http://127.0.0.1:{port}"
    for command in (["migrate", "--verbosity", "0"], ["load_demo"]):
        _manage(folder, url, *command)
    started = {"cwd": ROOT, "env": _environment(folder, url), "stdin": subprocess.DEVNULL}
    with (folder / "web.log").open("wb") as web_log, (folder / "worker.log").open("wb") as worker_log:
        gunicorn = [sys.executable, "-m", "gunicorn", "djangoproject.wsgi", "--bind", f"127.0.0.1:{port}"]

        def start_web() -> subprocess.Popen:
            return subprocess.Popen([*gunicorn, "--threads", "4"], stdout=web_log, stderr=web_log, **started)

        worker_command = [sys.executable, "manage.py", "worker", "--interval", "0.2"]
        worker = subprocess.Popen(worker_command, stdout=worker_log, stderr=worker_log, **started)
        service = Service(url, folder, start_web(), worker, start_web)
        try:
            _wait_until_ready(url, service.web)
            yield service
        finally:
            for process in (worker, service.web):
                _end(process)
