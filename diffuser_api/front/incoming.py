"""A request while it is being received. A request that is too large is passed to Django without its body, and
Django refuses it."""

from __future__ import annotations

import time

from waitress.parser import HTTPRequestParser

from diffuser_api.access import size_limits

HEADERS = ("Content-Type", "Cookie")  # that the limit depends on


class Incoming(HTTPRequestParser):
    is_refused = False
    path = ""  # until the first line is read; for good, if the header can't be

    def __init__(self, adj) -> None:
        super().__init__(adj)
        self.began = time.monotonic()
        self.most_bytes = 0

    def parse_header(self, header_plus: bytes) -> None:
        super().parse_header(header_plus)
        headers = {name: self.headers.get(name.upper().replace("-", "_"), "") for name in HEADERS}
        self.most_bytes = size_limits.most_bytes(self.path_info, headers)

    @property
    def path_info(self) -> str:
        """The path below the site's own. A proxy may have taken that away already."""
        return self.path.removeprefix(self.adj.url_prefix)

    def received(self, data: bytes) -> int:
        """Refuses a body that is too large: by its declared size at once, or when so many bytes have come."""
        consumed = super().received(data)
        if self.headers_finished and not self.error and not self.is_refused:
            size = max(self.content_length, self.body_bytes_received)
            if size > self.most_bytes:
                self._refuse(size)
        return consumed

    def _refuse(self, size: int) -> None:
        self.close()  # what has come of the body
        self.body_rcv = None
        self.headers["CONTENT_LENGTH"] = str(size)
        self.expect_continue = False
        self.is_refused = self.completed = self.connection_close = True
