"""SQLite's write-ahead log, which keeps older copies of pages that were overwritten since."""

from __future__ import annotations

import logging

from django.db import connection

log = logging.getLogger(__name__)
SECONDS = 5.0  # that readers and writers get to leave the log


def empty() -> bool:
    """After a deletion: what was deleted is zeros in the database's file (``secure_delete``), and the log is
    empty. False when somebody was reading all the time; the next sweep tries again."""
    if connection.vendor != "sqlite":
        return True
    with connection.cursor() as cursor:
        [patience] = cursor.execute("PRAGMA busy_timeout").fetchone()
        cursor.execute(f"PRAGMA busy_timeout = {1000 * SECONDS:.0f}")
        try:
            busy, *_ = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {patience}")
    if busy:
        log.warning("the database's log could not be emptied, the next try follows")
    return not busy
