"""The server's half of a front-end: gives out index.html, and passes /api/ and /data/ on with the token.

    TOKEN=cart_... python docs/front-end/serve.py http://127.0.0.1:8000 8080

The token stays here: whoever has it sees all of this front-end's visitors. Each browser gets a name in a
cookie, which goes along as X-Visitor, so that a visitor sees their own things alone. Standard library only.
"""

import http.cookies
import os
import secrets
import sys
import urllib.error
import urllib.request
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

API, PORT = (sys.argv[1:] + ["http://127.0.0.1:8000", "8080"][len(sys.argv) - 1 :])[:2]
PASSED_ON = ("Content-Type", "Accept-Language", "Idempotency-Key", "Prefer")
MOST_BYTES = 100 * 2**20


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
        found = http.cookies.SimpleCookie(self.headers.get("Cookie", "")).get("visitor")
        return found.value if found else ""

    def end_headers(self):
        if not self.visitor():
            self.send_header(
                "Set-Cookie", f"visitor={secrets.token_urlsafe(16)}; HttpOnly; SameSite=Strict; Path=/"
            )
        super().end_headers()

    def pass_on(self):
        length = int(self.headers.get("Content-Length") or 0)
        if not self.visitor():  # without a name, a request would speak for all visitors
            return self.send_error(400, "Allow cookies and load the page anew")
        if length > MOST_BYTES or not self.path.startswith(("/api/", "/data/")):
            return self.send_error(400)
        headers = {name: self.headers[name] for name in PASSED_ON if name in self.headers}
        headers |= {"Authorization": f"Bearer {os.environ['TOKEN']}", "X-Visitor": self.visitor()}
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
        self.send_header("Content-Type", answer.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    os.environ["TOKEN"]  # noqa: B018  asked for at once, not at the first request
    print(f"http://127.0.0.1:{PORT}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", int(PORT)), FrontEnd).serve_forever()
