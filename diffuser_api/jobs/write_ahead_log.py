"""Empties SQLite's write-ahead log. It keeps older copies of the database's pages, and so deleted data."""

from __future__ import annotations

import logging
import time

from django.db import OperationalError, connection

log = logging.getLogger(__name__)
SECONDS = 5.0  # so long ``empty`` waits for other connections that use the log
SECONDS_BETWEEN_TRIES = 0.02


def empty() -> bool:
    """Empty the log, after a deletion. In the database's file, SQLite has overwritten the deleted data by
    zeros already (``secure_delete``). False: other connections used the log all the time. The next sweep
    tries again."""
    if connection.vendor != "sqlite":
        return True
    end = time.monotonic() + SECONDS
    # SQLite waits for readers and writers, but not for another connection that is emptying the log.
    while _is_busy(seconds=1.0):
        if time.monotonic() > end:
            log.warning("the database's log could not be emptied, the next try follows")
            return False
        time.sleep(SECONDS_BETWEEN_TRIES)
    return True


def _is_busy(seconds: float) -> bool:
    """Try once to empty the log. True: another connection uses it. False: it is empty now."""
    with connection.cursor() as cursor:
        [patience] = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {1000 * seconds:.0f}")
        try:
            [busy, *_] = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except OperationalError:  # locked
            return True
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience}")
    return bool(busy)
