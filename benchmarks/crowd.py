"""Two hundred clients at once, for a minute: ``python -m benchmarks.crowd [CLIENTS] [SECONDS] [SLOW]``.

Each client has a token of its own and, in turns, asks for a picture and asks four times after it, with the
pauses of a page that is looked at. SLOW others read slowly or nothing, and as many send slowly or stop. A
worker is at work meanwhile, and somebody looks at /healthz. Prints what was answered, p50 and p95 of each
call, and the worker's seconds for one picture with and without the crowd.
"""

from __future__ import annotations

import asyncio
import collections
import json
import math
import os
import random
import statistics
import sys
import time
import urllib.request

from benchmarks.harness import slow_clients
from benchmarks.harness.running_service import WISH, RunningService, running

SEED = 2026
PAUSE = (1.0, 3.0)  # seconds between a client's calls
POLLS = 4
REQUEST = WISH | {"seed": 1}
SETTINGS = {"OPEN_API": "0", "LOG_LEVEL": "WARNING"}
MAKE_CLIENTS = """
from diffuser_api.access import tokens
from diffuser_api.models import Client
for number in range({count}):
    print(tokens.issue_token(Client.objects.create(name=f"front-{{number}}")))
"""


async def call(
    port: int, token: str, method: str, path: str, values: dict | None = None
) -> tuple[int, bytes]:
    """One call on a connection of its own, as from a front-end without keep-alive: (status, body)."""
    body = json.dumps(values).encode() if values else b""
    head = (
        f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: {len(body)}\r\n"
    )
    head += f"Authorization: Bearer {token}\r\nContent-Type: application/json\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head.encode() + body)
        answer = await reader.read()
    finally:
        writer.close()
    head_, _, content = answer.partition(b"\r\n\r\n")
    return int(head_.split()[1]), content


async def client(port: int, token: str, end: float, draw: random.Random, seen: list) -> None:
    await asyncio.sleep(draw.uniform(0, PAUSE[1]))  # they don't all come in the same instant
    path, polls = "", POLLS
    while time.monotonic() < end:
        submit = polls == POLLS
        began = time.monotonic()
        try:
            if submit:
                status, body = await call(port, token, "POST", "/api/generate-image/", REQUEST)
                path, polls = (f"/api/jobs/{json.loads(body)['code']}/" if status == 202 else path), 0
            else:
                status, body = await call(port, token, "GET", path)
                polls += 1
            word = "locked" if b"database is locked" in body else str(status)
        except (OSError, IndexError, ValueError) as error:
            word = type(error).__name__
            polls = POLLS if not path else polls
        seen.append(("submit" if submit else "poll", word, time.monotonic() - began))
        await asyncio.sleep(draw.uniform(*PAUSE))


async def watch_health(port: int, end: float, seen: list) -> None:
    while time.monotonic() < end:
        seconds = await slow_clients.seconds_to_answer(port)
        seen.append(("healthz", "200" if seconds < math.inf else "none", seconds))
        await asyncio.sleep(0.5)


async def crowd(port: int, tokens: list[str], seconds: float, slow: int) -> list[tuple[str, str, float]]:
    seen: list = []
    async with slow_clients.crowd(port, readers=slow, writers=slow):
        await asyncio.sleep(2)  # they hold what they can get
        end = time.monotonic() + seconds
        draws = [random.Random(SEED + n) for n in range(len(tokens))]
        clients = [client(port, token, end, draw, seen) for token, draw in zip(tokens, draws, strict=True)]
        await asyncio.gather(watch_health(port, end, seen), *clients)
    return seen


def picture_seconds(web: RunningService, token: str) -> float:
    """Ask for a picture, wait, and say how long its worker took."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    body = json.dumps(REQUEST).encode()
    asked = urllib.request.Request(f"{web.url}/api/generate-image/", body, headers)
    url = json.load(urllib.request.urlopen(asked))["status_url"]
    while True:
        job = json.load(urllib.request.urlopen(urllib.request.Request(url, headers=headers)))
        if job["status"] not in ("queued", "running"):
            assert job["status"] == "succeeded", job
            return sum(v for timing in job["timings"] for k, v in timing.items() if k.endswith("_seconds"))
        time.sleep(0.5)


def table(seen: list[tuple[str, str, float]]) -> None:
    print("call     number   p50 ms   p95 ms   worst ms   answers")
    for kind in ("submit", "poll", "healthz"):
        times = sorted(1000 * seconds for what, _, seconds in seen if what == kind)
        answers = collections.Counter(word for what, word, _ in seen if what == kind)
        p50, p95 = statistics.median(times), times[int(0.95 * len(times))]
        print(f"{kind:8} {len(times):6} {p50:8.0f} {p95:8.0f} {times[-1]:10.0f}   {dict(answers)}")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0
    slow = int(sys.argv[3]) if len(sys.argv) > 3 else 30
    with running(small=False, **SETTINGS) as web:
        *tokens, own = web.manage("shell", "--no-imports", "-c", MAKE_CLIENTS.format(count=count + 1)).split()
        picture_seconds(web, own)  # the first one waits for the models
        alone = picture_seconds(web, own)
        seen = asyncio.run(crowd(web.port, tokens, seconds, slow))
        print(
            f"{count} clients, {slow} slow readers and {slow} slow writers for {seconds:.0f} s, "
            f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        table(seen)
        timings = json.loads(web.manage("shell", "--no-imports", "-c", TIMINGS))
        under = [sum(v for t in job for k, v in t.items() if k.endswith("_seconds")) for job in timings]
        print(f"one picture: {alone:.1f} s alone; with the crowd: {[round(s, 1) for s in under]}")
        locked = (web.folder / "web.log").read_bytes().count(b"database is locked")
        print(f'"database is locked" in the web\'s log: {locked}; memory of the web: {web.rss_mb():.0f} MB')
    wrong = [word for _, word, _ in seen if word.startswith("5") or not word.isdigit()]
    sys.exit(f"{len(wrong)} went wrong: {collections.Counter(wrong)}" if wrong else 0)


TIMINGS = """
import json
from diffuser_api.models import Job
done = Job.objects.filter(status="succeeded").order_by("pk")
print(json.dumps(list(done.values_list("timings", flat=True))[2:]))
"""

if __name__ == "__main__":
    main()
