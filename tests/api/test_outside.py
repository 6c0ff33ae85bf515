"""What strangers meet: production settings, headers, what a browser may run, what is in the logs."""

import logging
import os
import re
import subprocess
import sys

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from benchmarks.harness import ROOT
from benchmarks.harness.api_requests import a_request
from benchmarks.harness.catalogue import make_photos
from djangoproject.logs import OneLine

PRODUCTION = {
    "SECRET_KEY": "not-a-secret-but-long-enough-0123456789-abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "cartolina.example",
    "CSRF_TRUSTED_ORIGINS": "https://cartolina.example",
    "HTTPS": "true",
    "NUM_PROXIES": "1",
    "OPEN_API": "false",
}


def check_deploy(**changes):
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    environment = os.environ | PRODUCTION | changes
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_production_settings_pass_every_check():
    result = check_deploy()
    assert result.returncode == 0, result.stderr


def test_settings_of_the_demo_are_no_production_settings():
    result = check_deploy(OPEN_API="true", NUM_PROXIES="0")
    assert result.returncode == 1
    assert "cartolina.W002" in result.stderr and "cartolina.W003" in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("CLIENT_RATE", "fast"), ("OUTPUT_URLS", "public"), ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8")],
)
def test_a_wrong_setting_stops_the_start_and_is_named(name, value):
    command = [sys.executable, "-c", "import djangoproject.settings"]
    environment = os.environ | {name: value}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 1 and value in result.stderr.splitlines()[-1]


def test_pages_and_answers_carry_the_headers(client, db):
    for path in ("/", "/api/pois/", "/api/jobs/00000000/", "/admin/login/", "/nowhere"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert re.match(r"default-src '(self|none)'", policy) and "frame-ancestors 'none'" in policy
        assert not re.search(r"(script|default)-src[^;]*unsafe", policy)
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
        assert (
            headers["Referrer-Policy"] == "same-origin" and "camera=(self)" in headers["Permissions-Policy"]
        )
    assert client.get("/api/pois/").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/", "/api/docs/", "/admin/login/"])
def test_pages_need_no_script_of_their_own(path, client, db):
    page = client.get(path, headers={"Accept": "text/html"}).content.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page)
    assert not re.search(r"\son\w+=", page)
    assert not re.search(r"""(src|href)=["'](https?:)?//""", page)


def test_logs_hold_no_prompt_no_file_name_and_no_token(client, transactional_db, caplog, catalogue):
    caplog.set_level(logging.INFO)
    secret = "my grandmother's pearl necklace"
    for body in (a_request(other_details=secret), a_request(action_name=secret, other_details="x" * 500)):
        client.post("/api/generate-image/", body, "application/json")
    files = [SimpleUploadedFile(f"{secret}{k}.png", photo) for k, photo in enumerate(make_photos())]
    client.post("/api/lora-training/", {"images": files[:3]})
    client.post("/api/lora-training/", {"images": files})
    client.get("/api/jobs/00000000/", headers={"Authorization": "Bearer cart_token-of-somebody"})
    assert "queued" in caplog.text
    assert "pearl" not in caplog.text and "token-of-somebody" not in caplog.text


def test_a_logged_event_is_one_line():
    formatter = OneLine("%(levelname)s %(message)s")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        record = logging.LogRecord("x", 40, "", 1, "job %s\r\nINFO forged", ("1",), sys.exc_info())
    line = formatter.format(record)
    assert "\n" not in line and "\r" not in line and "ValueError: two" in line


def test_a_strangers_text_in_the_log_is_obeyed_by_no_terminal():
    """And ends no line in a program that knows more line ends than two."""
    text = "a\x1bcb \x9b31m \x85INFO forged\u2028INFO forged\u202e"
    line = OneLine("%(message)s").format(logging.LogRecord("x", 40, "", 1, text, (), None))
    assert line.isprintable() and "INFO forged" in line
