"""A request while it is being received. A request that is too large is passed to Django without its body, and
Django refuses it.

Waitress takes some requests whose end two servers could see in different places. A proxy that sends the
requests of several visitors on one connection would then mix them up (request smuggling). Here they are
answered with 400, and the connection is closed.
"""

from __future__ import annotations

import time

from waitress.parser import HTTPRequestParser, ParsingError, get_header_lines
from waitress.utilities import BadRequest

from diffuser_api.access import size_limits

HEADERS = ("Content-Type", "Cookie")  # that the limit depends on
LONGEST_CHUNK_LINE = 1024  # bytes; with each piece that comes, Waitress searches all of an unfinished line
LONGEST_TRAILER = 16 * 1024


class Incoming(HTTPRequestParser):
    is_refused = False
    path = ""  # until the first line is read; for good, if the header can't be

    def __init__(self, adj) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self.most_bytes = 0

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a host or a length that is none, which Waitress doesn't expect
            raise ParsingError("The first line or Content-Length is invalid") from error
        if "TRANSFER_ENCODING" in self.headers:  # Waitress removes it where it obeys it
            raise ParsingError("Transfer-Encoding belongs to version 1.1")
        if _codings(header_plus) not in ([], [b"chunked"]):
            raise ParsingError("Transfer-Encoding takes one word, once: chunked")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("Send Content-Length or Transfer-Encoding, not both")
        headers = {name: self.headers.get(name.upper().replace("-", "_"), "") for name in HEADERS}
        self.most_bytes = size_limits.most_bytes(self.path_info, headers)

    @property
    def path_info(self) -> str:
        """The path below the site's own. A proxy may have taken that away already."""
        return self.path.removeprefix(self.adj.url_prefix)

    def received(self, data: bytes) -> int:
        """Refuses a body that is too large: by its declared size at once, or when so many bytes have come."""
        consumed = super().received(data)
        if self.chunked and not self.completed:
            self._check_lines()
        if self.completed:  # Waitress would wait for a body, and take the next header for a part of this one
            self.expect_continue = False
        if self.error:  # else Waitress answers HTTP/1.0 that the connection is kept
            self.headers["CONNECTION"] = "close"
        if self.headers_finished and not self.error and not self.is_refused:
            size = max(self.content_length, self.body_bytes_received)
            if size > self.most_bytes:
                self._refuse(size)
        return consumed

    def _check_lines(self) -> None:
        too_long = len(self.body_rcv.control_line) > LONGEST_CHUNK_LINE
        if too_long or len(self.body_rcv.trailer) > LONGEST_TRAILER:
            self.error, self.completed = BadRequest("A line between chunks is too long"), True

    def _refuse(self, size: int) -> None:
        self.close()  # what has come of the body
        self.body_rcv = None
        self.headers["CONTENT_LENGTH"] = str(size)
        self.expect_continue = False
        self.is_refused = self.completed = self.connection_close = True


def _codings(header: bytes) -> list[bytes]:
    """The values of Transfer-Encoding, one for each line. Waitress takes an empty one for none, and the word
    given twice for once."""
    fields = (line.partition(b":") for line in get_header_lines(header))
    return [value.strip(b" \t").lower() for name, _, value in fields if name.lower() == b"transfer-encoding"]
