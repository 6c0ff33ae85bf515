"""Limits on the number of requests from a client, or from an IP address without a token.

All web processes of a machine count together in a small SQLite file. A request is counted by one atomic
statement, which doesn't wait for the jobs' database. The file may be deleted at any time. REST framework's
throttles count in Django's cache, which is read first and written later. So they miss simultaneous requests,
and also all pages outside the API.

The algorithm is GCRA, a leaky bucket stored as one number: the time at which the bucket will be empty. This
time is at most the rate's period ahead (after ``charge``: twice the period). If it is farther ahead, the
clock was set back in between, and the bucket counts as empty.
"""

from __future__ import annotations

import contextlib
import logging
import math
import random
import sqlite3
import threading
import time
from pathlib import Path

from django.conf import settings
from django.http import JsonResponse

from diffuser_api.access.addresses import address_of

SECONDS_TO_OPEN = 2.0  # the counter's file, at most
UNCOUNTED = ("/healthz", "/readyz")
_connections = threading.local()
log = logging.getLogger(__name__)


def throttle_middleware(get_response):
    """Answers 429 with Retry-After when requests come too often. Comes after ``client_middleware``."""

    def answer(request):
        if request.path_info not in UNCOUNTED and (wait := take(*_bucket_and_rate(request))):
            seconds = math.ceil(wait)
            body = {"detail": f"Too many requests; try again in {seconds} s."}
            return JsonResponse(body, status=429, headers={"Retry-After": str(seconds)})
        return get_response(request)

    return answer


def _bucket_and_rate(request) -> tuple[str, tuple[int, int]]:
    if request.client:
        return f"client {request.client.pk}", settings.CLIENT_RATE
    return f"address {address_of(request)}", settings.ADDRESS_RATE


def take(key: str, rate: tuple[int, int]) -> float:
    """Count one request in the bucket ``key``. Returns 0 if the request may pass, otherwise the seconds to
    wait."""
    number, period = rate
    if not number:
        return 0.0
    now, each = time.time(), period / number
    burst = period - each  # the request may pass if the bucket will be empty within so many seconds
    values = {"key": key, "now": now, "each": each, "burst": burst, "latest": now + period + each}
    try:
        database = _database()
        if database.execute(_TAKE, values).fetchone():
            return 0.0
        empty = database.execute("SELECT empty FROM bucket WHERE key = :key", {"key": key}).fetchone()
    except sqlite3.Error as error:
        # The request passes all the same: a full disk must not close the service.
        log.warning("requests are not counted: %s", error)
        if not isinstance(error, sqlite3.OperationalError):  # the file is damaged: start a new one
            _file().unlink(missing_ok=True)
        _connections.path = None
        return 0.0
    return max(0.001, empty[0] - burst - now) if empty else 0.0


def forget(key: str) -> None:
    """Empty the bucket ``key``."""
    with contextlib.suppress(sqlite3.Error):
        _database().execute("DELETE FROM bucket WHERE key = ?", (key,))


def seconds_until_free(key: str, rate: tuple[int, int]) -> float:
    """0 if work for the bucket ``key`` may begin, otherwise the seconds to wait. The work's cost is known
    only afterwards: see ``charge``."""
    number, period = rate
    if not number:
        return 0.0
    now = time.time()
    try:
        found = _database().execute("SELECT empty FROM bucket WHERE key = ?", (key,)).fetchone()
    except sqlite3.Error:
        return 0.0
    over = found[0] - now - period if found else 0.0
    return over if 0 < over <= period else 0.0  # more than ``charge`` writes: the clock was set back


class TooMuchWork(Exception):
    """The sender has used up the processor time of a rate. There is some again in ``seconds``."""

    def __init__(self, seconds: float):
        self.seconds = math.ceil(seconds)
        super().__init__(f"Your requests took much work just now; send this again in {self.seconds} s.")


def refuse_if_used_up(key: str, rate: tuple[int, int]) -> None:
    """Raises TooMuchWork while the bucket ``key`` is full."""
    if wait := seconds_until_free(key, rate):
        raise TooMuchWork(wait)


@contextlib.contextmanager
def counted_work(key: str, rate: tuple[int, int]):
    """The block's processor time counts in the bucket ``key``. Raises TooMuchWork if it is full."""
    refuse_if_used_up(key, rate)
    began = time.thread_time()
    try:
        yield
    finally:
        charge(key, rate, time.thread_time() - began)


def charge(key: str, rate: tuple[int, int], cost: float) -> None:
    """Count the cost of a finished request, in the rate's unit."""
    number, period = rate
    if not number:
        return
    now = time.time()
    values = {"key": key, "now": now, "cost": cost * period / number, "latest": now + 2 * period}
    try:
        _database().execute(_CHARGE, values)
    except sqlite3.Error as error:
        log.warning("work is not counted: %s", error)


_CHARGE = """
    INSERT INTO bucket (key, empty) VALUES (:key, min(:now + :cost, :latest))
    ON CONFLICT (key) DO UPDATE
    SET empty = min(iif(empty > :latest, :now, max(empty, :now)) + :cost, :latest)
"""

_TAKE = """
    INSERT INTO bucket (key, empty) VALUES (:key, :now + :each)
    ON CONFLICT (key) DO UPDATE SET empty = iif(empty > :latest, :now, max(empty, :now)) + :each
    WHERE empty - :now <= :burst OR empty > :latest
    RETURNING 1
"""


def _file() -> Path:
    return Path(settings.DATA_DIR) / "throttles.sqlite3"


def _opened(path: Path) -> sqlite3.Connection:
    """Open the file. Tries again while another process switches it to WAL mode, for which SQLite's own
    timeout doesn't wait."""
    end = time.monotonic() + SECONDS_TO_OPEN
    while True:
        connection = sqlite3.connect(path, timeout=SECONDS_TO_OPEN, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute(
                "CREATE TABLE IF NOT EXISTS bucket (key TEXT PRIMARY KEY, empty REAL) WITHOUT ROWID"
            )
            return connection
        except sqlite3.OperationalError as error:
            connection.close()
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > end:
                raise
            time.sleep(random.uniform(0.005, 0.05))


def _database() -> sqlite3.Connection:
    """This thread's connection. Sometimes deletes empty buckets, so that the file stays small."""
    path = _file()
    if getattr(_connections, "path", None) != path:
        _connections.path, _connections.open = path, _opened(path)
    if random.random() < 0.001:
        _connections.open.execute("DELETE FROM bucket WHERE empty < ?", (time.time(),))
    return _connections.open
