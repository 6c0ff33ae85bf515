"""A real ``manage.py worker`` on the test's own database and folders, and a look at its processes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from urllib.parse import quote

import psutil
from django import conf
from django.db import connection

from benchmarks.harness import ROOT


def database_url() -> str:
    """Of the test's own database."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(values['NAME']))}"
    return f"postgres://{values['USER']}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


def environment() -> dict[str, str]:
    return os.environ | {
        "DATABASE_URL": database_url(),
        "DATA_DIR": str(conf.settings.DATA_DIR),
        "TMP_DATA_DIR": str(conf.settings.TMP_DATA_DIR),
        "TRAINING_APP_DIR": str(conf.settings.TRAINING_APP_DIR),
    }


@contextmanager
def worker(**settings: str):
    """Killed, if it still runs at the end."""
    with running(["manage.py", "worker", "--interval", "0.1"], settings) as process:
        yield process


@contextmanager
def celery_worker(*options: str, app: str = "djangoproject", **settings: str):
    """As ``worker``, with Celery."""
    command = ["-m", "celery", "--app", app, "--quiet", "worker", "--without-mingle"]
    with running([*command, *options], settings) as process:
        yield process


@contextmanager
def running(arguments: list[str], settings: dict[str, str]):
    process = subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, env=environment() | settings, stdin=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition, seconds: float = 240.0):
    """The first true value of ``condition``."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not so after {seconds} s")


def step_of(process: subprocess.Popen, folder) -> psutil.Process | None:
    """The process that paints in this folder, whoever started it: its log is a file there."""
    for child in psutil.Process(process.pid).children(recursive=True):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/{child.pid}/fd/2").startswith(str(folder)):
                return child
    return None


def is_gone(process: psutil.Process) -> bool:
    """Ended, whether or not somebody has asked how."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
