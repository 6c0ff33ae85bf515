"""One client's connection: its limits in time, and its end after a refused request."""

from __future__ import annotations

import contextlib
import socket
import time

from waitress.channel import HTTPChannel

from diffuser_api.front.incoming import Incoming

SECONDS_BETWEEN_REQUESTS = 75.0  # longer than the minute of browsers: if they close first, no request is lost
SECONDS_FOR_A_HEADER = 20.0
SECONDS_OF_SILENCE = 30.0  # in the middle of a body
LEAST_BYTES_A_SECOND = 500  # of a body, on average
SECONDS_TO_READ = 30.0  # so long a client may take no byte of an answer
SECONDS_TO_LINGER = 5.0


class Connection(HTTPChannel):
    parser_class = Incoming
    is_refusing = False  # a request was refused, and the client may still be sending it
    lingers_since = 0.0  # the time since when everything that the client sends is dropped; 0: not yet

    @property
    def last_activity(self) -> float:
        return self._last_activity

    @last_activity.setter
    def last_activity(self, wall_clock: float) -> None:
        """Waitress writes the time of day here. It is replaced by a clock that nobody can set."""
        self._last_activity = time.monotonic()

    def is_busy(self) -> bool:
        """Whether a request is being answered, or its answer is being sent."""
        return bool(self.requests or self.total_outbufs_len)

    def is_too_slow(self) -> bool:
        """Whether the client is silent for too long, or sends or reads too slowly."""
        now, request = time.monotonic(), self.request  # the one that is being received, if any
        if self.lingers_since:
            return now - self.lingers_since > SECONDS_TO_LINGER
        if self.requests:
            return False  # the client waits for the server
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
        """Whether a request or an answer is incomplete. Then the end of the connection is logged."""
        return self.request is not None or bool(self.total_outbufs_len)

    def hang_up(self) -> None:
        """Close the connection at once. Waitress's ``will_close`` would wait until the socket can be written
        to, which may never happen."""
        super().handle_close()

    # --- the end after a refusal ----------------------------------------------------------------------------
    # If the connection were closed at once, a client that is still sending would get a reset instead of the
    # answer. So only the server's half is closed. What the client sends is dropped, until it closes its half.

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
