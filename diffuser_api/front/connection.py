"""One client's connection: how long it may take, and how it ends when a request was refused."""

from __future__ import annotations

import contextlib
import socket
import time

from waitress.channel import HTTPChannel

from diffuser_api.front.incoming import Incoming

SECONDS_BETWEEN_REQUESTS = 75.0  # browsers keep a connection for a minute; who closes first loses no request
SECONDS_FOR_A_HEADER = 20.0
SECONDS_OF_SILENCE = 30.0  # in the middle of a body
LEAST_BYTES_A_SECOND = 500  # of a body, on average
SECONDS_TO_READ = 30.0  # without a single byte of an answer being taken
SECONDS_TO_LINGER = 5.0


class Connection(HTTPChannel):
    parser_class = Incoming
    is_refusing = False  # a request whose rest is still on its way
    lingers_since = 0.0  # since then, only to drop what the client still sends

    @property
    def last_activity(self) -> float:
        return self._last_activity

    @last_activity.setter
    def last_activity(self, wall_clock: float) -> None:
        """Waitress writes the time of day, which somebody may set."""
        self._last_activity = time.monotonic()

    def is_busy(self) -> bool:
        """A request is being answered, or its answer is on its way."""
        return bool(self.requests or self.total_outbufs_len)

    def is_too_slow(self) -> bool:
        """Silent, or with bytes that come so slowly that they never end."""
        now, request = time.monotonic(), self.request  # the one that is being received, if any
        if self.lingers_since:
            return now - self.lingers_since > SECONDS_TO_LINGER
        if self.requests:
            return False  # the client waits for us
        silence = now - self.last_activity
        if self.total_outbufs_len:
            return silence > SECONDS_TO_READ
        if request is None:
            return silence > SECONDS_BETWEEN_REQUESTS
        if not request.headers_finished:
            return now - request.began > SECONDS_FOR_A_HEADER
        in_time = SECONDS_OF_SILENCE + request.body_bytes_received / LEAST_BYTES_A_SECOND
        return silence > SECONDS_OF_SILENCE or now - request.began > in_time

    def is_unfinished(self) -> bool:
        """Something was on its way: an end that is worth a line in the log."""
        return self.request is not None or bool(self.total_outbufs_len)

    def hang_up(self) -> None:
        """At once. Waitress's ``will_close`` waits until the socket can be written to, which may never be."""
        super().handle_close()

    # --- the end after a refusal ----------------------------------------------------------------------------
    # A client that is still sending would get a reset instead of the answer if the connection were closed at
    # once. So only our half is closed, and what it sends is dropped until it closes the other half.

    def received(self, data: bytes) -> bool:
        taken = super().received(data)
        self.is_refusing = self.is_refusing or any(request.is_refused for request in self.requests)
        return taken

    def handle_close(self) -> None:
        if self.is_refusing and self.connected and not self.lingers_since:
            self.lingers_since, self.will_close = time.monotonic(), False
            with contextlib.suppress(OSError):  # the client is gone
                self.socket.shutdown(socket.SHUT_WR)
                return
        super().handle_close()

    def readable(self) -> bool:
        return bool(self.lingers_since) or super().readable()

    def writable(self) -> bool:
        return not self.lingers_since and super().writable()

    def handle_read(self) -> None:
        if not self.lingers_since:
            return super().handle_read()
        with contextlib.suppress(OSError):
            self.recv(self.adj.recv_bytes)  # it closes the connection when the client has
