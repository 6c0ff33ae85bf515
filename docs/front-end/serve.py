"""The server's half of a front-end: gives out index.html, and passes /api/ and /data/ on with the token.

    TOKEN=cart_... python docs/front-end/serve.py http://127.0.0.1:8000 8080

The token stays here: whoever has it sees all of this front-end's visitors. Each browser gets a name in a
signed cookie, which goes along as X-Visitor, so that a visitor sees their own things alone. Standard library
only.
"""

import hmac
import http.cookies
import os
import secrets
import sys
import urllib.error
import urllib.parse
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

API, PORT = (sys.argv[1:] + ["http://127.0.0.1:8000", "8080"][len(sys.argv) - 1 :])[:2]
PASSED_ON = ("Content-Type", "Accept-Language", "Idempotency-Key", "If-None-Match", "Prefer")
PASSED_BACK = ("Content-Type", "Cache-Control", "ETag", "Retry-After")
MOST_BYTES = 100 * 2**20


def signed(name: str) -> str:
    """A cookie's value that nobody else can make: the token is the key."""
    return f"{name}.{hmac.new(os.environ['TOKEN'].encode(), name.encode(), 'sha256').hexdigest()}"


class FrontEnd(SimpleHTTPRequestHandler):
    def __init__(self, *arguments):
        super().__init__(*arguments, directory=Path(__file__).parent / "page")

    def do_GET(self):
        if self.path.startswith(("/api/", "/data/")):
            self.pass_on()
        else:
            super().do_GET()

    def do_POST(self):
        self.pass_on()

    do_DELETE = do_POST

    def visitor(self) -> str:
        """The name in the cookie; empty without one that we have signed."""
        found = http.cookies.SimpleCookie(self.headers.get("Cookie", "")).get("visitor")
        name = found.value.partition(".")[0] if found else ""
        return name if found and hmac.compare_digest(found.value.encode(), signed(name).encode()) else ""

    def is_from_elsewhere(self) -> bool:
        """Whether another site's page sent this; one on another port of this host has the cookie, too."""
        origin = self.headers.get("Origin")
        if origin is not None and urllib.parse.urlsplit(origin).netloc != self.headers.get("Host"):
            return True
        return self.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none")

    def end_headers(self):
        if not self.visitor():
            value = signed(secrets.token_urlsafe(16))
            self.send_header("Set-Cookie", f"visitor={value}; HttpOnly; SameSite=Strict; Path=/")
        super().end_headers()

    def pass_on(self):
        length = int(self.headers.get("Content-Length") or 0)
        if not self.visitor():  # without a name, a request would speak for all visitors
            return self.send_error(400, "Allow cookies and load the page anew")
        if self.is_from_elsewhere():
            return self.send_error(403, "Use the page of this address")
        if length > MOST_BYTES or not self.path.startswith(("/api/", "/data/")):
            return self.send_error(400)
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        headers |= {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Visitor": self.visitor()}
        headers["X-Visitor-Address"] = self.client_address[
            0
        ]  # parts visitors who wait; behind a proxy, its header
        body = self.rfile.read(length) if length else None
        request = urllib.request.Request(API + self.path, body, headers, method=self.command)
        try:
            answer = urllib.request.urlopen(request, timeout=90)
        except urllib.error.HTTPError as refused:
            answer = refused  # an answer like any other: its JSON says what to do
        except OSError:
            return self.send_error(502, "The API doesn't answer")
        with answer:
            content = answer.read()
        self.send_response(answer.status)
        for name in PASSED_BACK:
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    os.environ["TOKEN"]  # noqa: B018  asked for at once, not at the first request
    print(f"http://127.0.0.1:{PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(PORT)), FrontEnd).serve_forever()
