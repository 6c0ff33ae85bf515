"""A server that speaks as much of the Hub's protocol as a download by commit needs."""

from __future__ import annotations

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """``files``: content by name, for every repository. Weights are told by SHA-256, the rest as git does."""

    def __init__(self, commit: str, files: dict[str, bytes]) -> None:
        self.commit, self.files = commit, files
        self.cuts = 0  # how many more connections are cut in the middle of a large file
        self.flipped = False  # whether a large file's last bit is the other one
        self.begun_at: list[int] = []  # the first byte of each answer with a large file
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self._answer(body=False)

            def do_GET(self):
                self._answer(body=True)

            def _answer(self, body: bool) -> None:
                name = self.path.partition("/resolve/")[2].partition("/")[2]
                if name not in hub.files:
                    self.send_response(404)
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = hub.files[name]
                large = name.endswith(".safetensors")
                start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
                self.send_response(206 if start else 200)
                self.send_header("X-Repo-Commit", hub.commit)
                self.send_header("Accept-Ranges", "bytes")
                self.send_header("Content-Length", str(len(content) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                if large:
                    self.send_header("X-Linked-Size", str(len(content)))
                    self.send_header("X-Linked-Etag", f'"{hashlib.sha256(content).hexdigest()}"')
                else:
                    blob = f"blob {len(content)}\0".encode() + content
                    self.send_header("ETag", f'"{hashlib.sha1(blob).hexdigest()}"')
                self.end_headers()
                if body and large:
                    hub.begun_at.append(start)
                    if hub.flipped:
                        content = content[:-1] + bytes([content[-1] ^ 1])
                    if hub.cuts:
                        hub.cuts -= 1
                        content = content[: len(content) // 2]
                if body:
                    self.wfile.write(content[start:])

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
