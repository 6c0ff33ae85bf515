"""A web process of its own on a folder of its own, for measurements that speak HTTP to it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
SECRET_KEY = "benchmark-secret-key-that-must-never-be-seen-in-an-answer-0123456789"


@dataclass(frozen=True)
class Service:
    url: str
    port: int
    folder: Path
    environment: dict[str, str]
    processes: dict[str, subprocess.Popen]

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def rss_mb(self, name: str = "web") -> float:
        """Memory of a process and its children."""
        process = psutil.Process(self.processes[name].pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 2**20


@contextlib.contextmanager
def running(
    commands: dict[str, list[str]] | None = None, threads: int = 8, **settings: str
) -> Iterator[Service]:
    """gunicorn as in Procfile, and ``commands`` of manage.py by name beside it; all are ended at the end."""
    with tempfile.TemporaryDirectory(prefix="cartolina-bench-") as name, contextlib.ExitStack() as stack:
        folder, port = Path(name), _free_port()
        url = f"http://127.0.0.1:{port}"
        own = {
            "DATA_DIR": str(folder / "data"),
            "TMP_DATA_DIR": str(folder / "tmp_data"),
            "TRAINING_APP_DIR": str(folder / "training-app"),
            "SERVER_URL": url,
            "SECRET_KEY": SECRET_KEY,
            "OPEN_API": "1",
        }
        service = Service(url, port, folder, os.environ | own | settings, {})
        for command in (["migrate", "--verbosity", "0"], ["load_demo"]):
            service.manage(*command)
        gunicorn = ["-m", "gunicorn", "djangoproject.wsgi", "--bind", f"127.0.0.1:{port}"]
        started = {"web": [*gunicorn, "--threads", str(threads), "--graceful-timeout", "3"]}
        started |= {name: ["manage.py", *arguments] for name, arguments in (commands or {}).items()}
        for name, arguments in started.items():
            log = stack.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=service.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            service.processes[name] = process
            stack.callback(_end, process)
        _wait_until_it_answers(url)
        yield service


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait_until_it_answers(url: str) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/healthz", timeout=5):
            return
        time.sleep(0.1)
    raise RuntimeError(f"{url} didn't answer within a minute")


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
