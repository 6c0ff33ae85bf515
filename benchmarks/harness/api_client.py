"""What a front-end does: post, poll, fetch. Standard library only, over real HTTP."""

from __future__ import annotations

import json
import time
import urllib.request
from uuid import uuid4


def get_json(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def get_bytes(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def post(url: str, body: bytes, content_type: str) -> tuple[int, dict]:
    request = urllib.request.Request(url, body, {"Content-Type": content_type})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status, json.load(answer)


def post_json(url: str, values: dict) -> tuple[int, dict]:
    return post(url, json.dumps(values).encode(), "application/json")


def post_photos(url: str, photos: list[bytes]) -> tuple[int, dict]:
    boundary = uuid4().hex
    head = 'Content-Disposition: form-data; name="images"; filename="photo.png"\r\nContent-Type: image/png'
    parts = [f"--{boundary}\r\n{head}\r\n\r\n".encode() + photo + b"\r\n" for photo in photos]
    return post(
        url, b"".join(parts) + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
    )


def wait_for(status_url: str, seconds: float) -> list[dict]:
    """Polls until the job is finished; every answer on the way, the last one included."""
    answers, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        answers.append(get_json(status_url))
        if answers[-1]["status"] not in ("queued", "running"):
            return answers
        time.sleep(0.5)
    raise AssertionError(f"not finished after {seconds} s: {answers[-1]}")
