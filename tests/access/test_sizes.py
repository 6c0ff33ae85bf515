"""The size table: how much every URL of the site takes, found from the URL configuration."""

import re

from django.conf import settings
from django.test import Client as Browser

from diffuser_api.access import size_limits
from tests.access.test_access import urls

MB = 2**20
FORM, FILES = "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"
COOKIE = {"Cookie": "sessionid=whoever"}
# What carries files, and for whom; every other URL takes 1 MiB of anything but files.
SMALL, PHOTOS, PICTURES = MB, 6 * settings.MAX_UPLOAD_MB * MB, 20 * settings.MAX_UPLOAD_MB * MB


def paths() -> list[str]:
    """Each with something in the place of its parameters."""
    found = []
    for _, path in urls():
        path = re.sub(r"<int:\w+>|<\w+:?\w*>|\(\?P<\w+>[^)]*\)+", "1", path)
        found.append("/" + re.sub(r"[\^$?]|\(.*|\\Z|\\", "", path))
    return found


def test_all_urls_are_found():
    assert len(paths()) > 90 and "/api/lora-training/" in paths() and size_limits.CATALOGUE_PATH in paths()


def test_what_every_url_takes():
    for path in paths():

        def most(kind: str, path=path, **headers: str) -> int:
            return size_limits.most_bytes(path, {"Content-Type": kind, **headers})

        assert most(FORM) == most("") == most("application/json") == SMALL, path
        if not path.startswith("/admin/"):
            assert most(FILES) == most(FILES, **COOKIE) == PHOTOS, path
        elif path.startswith("/admin/login/"):
            assert most(FILES) == most(FILES, **COOKIE) == SMALL
        else:
            assert most(FILES) == SMALL, path
            assert most(FILES, **COOKIE) == (2**30 if path == size_limits.CATALOGUE_PATH else PICTURES), path


def test_a_request_that_is_larger_is_refused_at_every_url(db):
    """By its declared length: nothing of the body is read."""
    browser = Browser()
    for path in paths():
        answer = browser.generic("POST", path, b"", FORM, CONTENT_LENGTH=str(SMALL + 1))
        assert answer.status_code == (400 if path.startswith("/api/") else 413), (path, answer.status_code)
