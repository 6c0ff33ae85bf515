"""The road of a finished training from a worker to the web server: tried before a training needs it."""

from __future__ import annotations

import json
import logging
import time
from urllib.parse import urlsplit

import urllib3
from django.conf import settings

from diffuser_api.access.internal import DELIVERY

NOBODYS_CODE = "00000000"
SECONDS_TO_ANSWER = 5.0
SECONDS_BETWEEN_TRIES = 5.0
TRIES = 12  # a web server that starts at the same time is up by then
log = logging.getLogger(__name__)


class NotUp(Exception):
    """Nobody answers. That may be so for now."""


def check() -> str:
    """Sends a delivery without a token as post-back.py would. Returns what is wrong and what to do; empty if
    this service's web server refuses it for the missing token, as it must. Raises NotUp."""
    address = settings.SERVER_URL
    if urlsplit(address).scheme not in ("http", "https"):
        return f"SERVER_URL={address!r} is no address. It must begin with http:// or https://."
    try:
        answer = urllib3.request(
            "POST",
            address.rstrip("/") + DELIVERY.format(code=NOBODYS_CODE),
            fields={"error": "only a try"},
            redirect=False,
            retries=False,
            timeout=SECONDS_TO_ANSWER,
        )
    except urllib3.exceptions.LocationValueError as error:
        return f"SERVER_URL={address!r} is no address: {error}."
    except urllib3.exceptions.SSLError as error:
        return f"SERVER_URL={address} has no TLS certificate that workers trust: {error}."
    except urllib3.exceptions.HTTPError as error:
        raise NotUp(
            f"SERVER_URL={address} does not answer ({type(error).__name__}). Start the web server, or set "
            "SERVER_URL to its address as a worker reaches it."
        ) from error
    return "" if _is_ours(answer) else f"SERVER_URL={address} {_what_is_wrong(answer)}"


def _is_ours(answer) -> bool:
    try:
        return answer.status == 403 and "one-time token" in json.loads(answer.data)["detail"]
    except (ValueError, TypeError, KeyError):
        return False


def _what_is_wrong(answer) -> str:
    if 300 <= answer.status < 400:
        return (
            f"redirects to {answer.headers.get('Location', 'nowhere')}; a training can't be delivered there. "
            "Set it to the web server itself, not to a proxy in front of it."
        )
    if answer.status == 429 or answer.status >= 500:
        return f"answers {answer.status} {answer.reason}. Look at the web server's log."
    return (
        f"answers {answer.status} {answer.reason} where Cartolina would ask for a token: another server "
        "listens there, or a proxy doesn't pass the request on. Set it to the web server itself."
    )


def report() -> None:
    """For a thread of a worker that starts: a warning in the log if no training can be delivered."""
    problem = ""
    for _ in range(TRIES):
        try:
            problem = check()
            break
        except NotUp as error:
            problem = str(error)
        time.sleep(SECONDS_BETWEEN_TRIES)
    if problem:
        log.warning("finished trainings can't be delivered: %s", problem)
