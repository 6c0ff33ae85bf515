"""A database that can't be used for a while: it is locked, or its server is away.

Who serves people, or holds a job, waits for a lock for a moment only, and then says so or tries again later.
Commands, such as the import of a catalogue, wait for as long as the settings say.
"""

from __future__ import annotations

import sqlite3

from django.core.exceptions import MiddlewareNotUsed
from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.signals import connection_created

SECONDS_FOR_A_LOCK = 2.0  # an answer may wait twice: for what it writes, and for the session
SECONDS_TO_RETRY = 5
# A process that is stopped, or cut off, inside a transaction: its locks are given to others after that.
SECONDS_OF_SILENCE = 30.0
TEXT = f"The database can't be used at the moment; send this again in {SECONDS_TO_RETRY} seconds."
_AWAY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR)


def is_away(error: BaseException | None) -> bool:
    """Whether the error comes from a database that may be back soon."""
    while error:
        if isinstance(error, OperationalError | InterfaceError):
            code = getattr(error.__cause__, "sqlite_errorcode", sqlite3.SQLITE_BUSY)
            return code & 0xFF in _AWAY
        error = error.__cause__ or (None if isinstance(error, Error) else error.__context__)
    return False


def wait_briefly() -> None:
    """From now on, this process waits for a lock of the database's for SECONDS_FOR_A_LOCK only."""
    connection_created.connect(_set_timeout, dispatch_uid="wait_briefly")
    for connection in connections.all(initialized_only=True):
        if connection.connection is not None:
            _set_timeout(None, connection)


def _set_timeout(sender, connection, **kwargs) -> None:
    lock = int(SECONDS_FOR_A_LOCK * 1000)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute(f"PRAGMA busy_timeout = {lock}")
        elif connection.vendor == "postgresql":
            silence = int(SECONDS_OF_SILENCE * 1000)
            cursor.execute(f"SET lock_timeout = {lock}; SET idle_in_transaction_session_timeout = {silence}")


def waiting_middleware(get_response):
    """No part of an answer: only processes that answer requests load it."""
    wait_briefly()
    raise MiddlewareNotUsed
