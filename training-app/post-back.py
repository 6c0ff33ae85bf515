#!/usr/bin/env python3
"""Hand a finished LoRA, or the reason why there is none, to the server: post-back.py CODE --lora FILE.

With --likeness, the result of choose-checkpoint.py goes along, if there is one.

The job's one-time token comes from the environment (CALLBACK_TOKEN), never from the command line, which every
user of the machine can read; SERVER_URL is the server's address. Needs only urllib3, which, unlike requests,
trusts the system's certificates and lets no .netrc replace the token.
Exit status 0: delivered; 1: given up, with the reason on stderr's last line.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError

PATIENCE = 600.0  # seconds during which an absent server is tried again
LONGEST_PAUSE = 30.0  # seconds between two tries
TIMEOUT = 60.0  # seconds that the server may be silent
LONGEST_ERROR = 2000  # characters


class Refused(Exception):
    """The server said no, and will say so again."""


class Unavailable(Exception):
    """No answer, or an answer that may change: worth another try."""


def make_fields(lora: Path | None, error: str | None, likeness: Path | None) -> dict:
    """The multipart form: the file ``lora`` and perhaps ``likeness``, or the text ``error``."""
    if not lora:
        return {"error": (error or "")[:LONGEST_ERROR]}
    fields = {"lora": (lora.name, lora.read_bytes(), "application/octet-stream")}
    if likeness and likeness.exists():
        fields["likeness"] = likeness.read_bytes()
    return fields


def post(url: str, token: str, fields: dict) -> None:
    """Tries once; follows no redirect, so the token goes to the server only. Raises Refused, Unavailable."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        response = urllib3.request(
            "POST", url, fields=fields, headers=headers, redirect=False, retries=False, timeout=TIMEOUT
        )
    except LocationValueError as error:
        raise Refused(f"SERVER_URL is no address: {error}") from error
    except HTTPError as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error
    if response.status == 429 or response.status >= 500:
        raise Unavailable(f"the server answers {response.status} {response.reason}")
    if not 200 <= response.status < 300:
        text = response.data.decode(errors="replace")[:LONGEST_ERROR].strip()
        raise Refused(f"the server refuses: {response.status} {response.reason} {text}".strip())


def deliver(url: str, token: str, fields: dict) -> None:
    """Tries until the server has it, with pauses of 1, 2, 4 ... seconds, for PATIENCE seconds.

    urllib3's own Retry counts tries, not seconds, and a try may take a minute.
    """
    end, pause = time.monotonic() + PATIENCE, 1.0
    while True:
        try:
            return post(url, token, fields)
        except Unavailable as error:
            if time.monotonic() + pause > end:
                raise
            print(f"{error}; trying again in {pause:.0f} s", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("code")
    result = parser.add_mutually_exclusive_group(required=True)
    result.add_argument("--lora", type=Path)
    result.add_argument("--error")
    parser.add_argument("--likeness", type=Path, help="a file that need not be there")
    args = parser.parse_args(argv)
    try:
        server_url, token = os.environ["SERVER_URL"], os.environ["CALLBACK_TOKEN"]
        if not server_url.startswith(("http://", "https://")):
            raise Refused(f"SERVER_URL {server_url!r} is not an http or https address")
        url = f"{server_url.rstrip('/')}/api/lora-training/{args.code}/complete/"
        deliver(url, token, make_fields(args.lora, args.error, args.likeness))
    except KeyError as missing:
        print(f"error: {missing.args[0]} is not set", file=sys.stderr)
        return 1
    except (Refused, Unavailable, OSError) as error:
        print(f"error: could not hand over the result: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
