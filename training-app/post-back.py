#!/usr/bin/env python3
"""Hand a finished LoRA, or the reason why there is none, to the server: post-back.py CODE --lora FILE.

With --likeness, what choose-checkpoint.py wrote goes along, if it wrote anything.

The job's one-time token comes from the environment (CALLBACK_TOKEN), never from the command line, which
every user of the machine can read; SERVER_URL says where the server is. Needs only the standard library.
Exit status 0: delivered; 1: given up, with the reason on stderr's last line.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

PATIENCE = 600.0  # seconds during which an absent server is tried again
LONGEST_PAUSE = 30.0  # seconds between two tries
TIMEOUT = 60.0  # seconds that the server may be silent
LONGEST_ERROR = 2000  # characters


class Refused(Exception):
    """The server said no, and will say so again."""


class Unavailable(Exception):
    """No answer, or one that may change: worth another try."""


def make_body(lora: Path | None, error: str | None, likeness: Path | None = None) -> tuple[bytes, str]:
    """The multipart body, with the part ``lora`` or the field ``error``, and its content type."""
    boundary = uuid4().hex
    parts = []
    if lora:
        name = f'name="lora"; filename="{lora.name}"\r\nContent-Type: application/octet-stream'
        parts.append((name, lora.read_bytes()))
        if likeness and likeness.exists():
            parts.append(('name="likeness"', likeness.read_bytes()))
    else:
        parts.append(('name="error"', (error or "")[:LONGEST_ERROR].encode()))
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + content + b"\r\n"
        for name, content in parts
    )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def post(server_url: str, code: str, token: str, body: bytes, content_type: str) -> None:
    """One try; follows no redirect, so the token goes to the server only. Raises Refused, Unavailable."""
    url = urlsplit(server_url)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if url.scheme not in kinds or not url.hostname:
        raise Refused(f"SERVER_URL {server_url!r} is not an http or https address")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": content_type}
    connection = kinds[url.scheme](url.hostname, url.port, timeout=TIMEOUT)
    try:
        # A server that refuses may close before it has read everything; its answer can be read nevertheless.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            path = f"{url.path.rstrip('/')}/api/lora-training/{code}/complete/"
            connection.request("POST", path, body, headers)
        response = connection.getresponse()
        text = response.read(LONGEST_ERROR).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if response.status == 429 or response.status >= 500:
        raise Unavailable(f"the server answers {response.status} {response.reason}")
    if not 200 <= response.status < 300:
        raise Refused(f"the server refuses: {response.status} {response.reason} {text}".strip())


def deliver(server_url: str, code: str, token: str, body: bytes, content_type: str, patience: float) -> None:
    """Tries until the server has it, with pauses of 1, 2, 4 ... seconds, for ``patience`` seconds."""
    end, pause = time.monotonic() + patience, 1.0
    while True:
        try:
            return post(server_url, code, token, body, content_type)
        except Unavailable as error:
            if time.monotonic() + pause > end:
                raise
            print(f"{error}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("code")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--lora", type=Path)
    what.add_argument("--error")
    parser.add_argument("--likeness", type=Path, help="a file that need not be there")
    args = parser.parse_args(argv)
    try:
        server_url, token = os.environ["SERVER_URL"], os.environ["CALLBACK_TOKEN"]
        body, content_type = make_body(args.lora, args.error, args.likeness)
        deliver(server_url, args.code, token, body, content_type, PATIENCE)
    except KeyError as missing:
        print(f"error: {missing.args[0]} is not set", file=sys.stderr)
        return 1
    except (Refused, Unavailable, OSError) as error:
        print(f"error: could not hand over the result: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
