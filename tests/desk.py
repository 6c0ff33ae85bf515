"""The editors' desk as a browser sees it, on a real server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tests.conftest import ROOT

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-background-networking"]
PASSWORD = "a long password for tests"

needs_chromium = pytest.mark.skipif(
    not shutil.which(CHROMIUM), reason=f"{CHROMIUM} is missing: apt-get install chromium"
)


@contextmanager
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        try:
            yield chromium
        finally:
            chromium.close()


def make_editor(environment: dict[str, str], name: str = "editor") -> None:
    """A superuser in the running server's database."""
    command = [sys.executable, "manage.py", "createsuperuser", "--noinput", "--username", name]
    command += ["--email", "editor@cartolina.example"]
    variables = os.environ | environment | {"DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    subprocess.run(command, cwd=ROOT, env=variables, check=True, capture_output=True)


def log_in(page, url: str, name: str = "editor") -> None:
    page.goto(f"{url}/admin/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_selector("#user-tools")
