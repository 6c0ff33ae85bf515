"""Bad webhook receivers beside jobs: ``python -m benchmarks.webhooks``, with real processes.

One picture is made with no webhook and one while a hundred jobs tell receivers that refuse, hang, drip,
answer 500, redirect inside or send a gigabyte. Prints both durations, how long a good receiver waits for its
messages meanwhile, and what the sender's log says of each bad one.
"""

from __future__ import annotations

import contextlib
import json
import re
import statistics
import time
import urllib.request

from benchmarks.crowd import REQUEST
from benchmarks.harness.receivers import drip, gigabyte, hang, receiving, refusing, status
from benchmarks.harness.running_service import RunningService, running

TELLERS = 100  # waiting jobs whose creation is told to a bad receiver
GOOD_EVERY = 10  # of so many, one tells the good receiver


def ask(web: RunningService, webhook_url: str = "") -> str:
    body = json.dumps(REQUEST | {"webhook_url": webhook_url}).encode()
    request = urllib.request.Request(
        f"{web.url}/api/generate-image/", body, {"Content-Type": "application/json"}
    )
    return json.load(urllib.request.urlopen(request))["status_url"]


def seconds_of(status_url: str) -> float:
    while True:
        job = json.load(urllib.request.urlopen(status_url))
        if job["status"] not in ("queued", "running"):
            assert job["status"] == "succeeded", job
            return sum(v for timing in job["timings"] for k, v in timing.items() if k.endswith("_seconds"))
        time.sleep(0.5)


def main() -> None:
    settings = {"WEBHOOK_ALLOW_HTTP": "1", "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128"}
    settings |= {"MAX_JOBS_WAITING": "1000", "LOG_LEVEL": "INFO"}
    with contextlib.ExitStack() as stack:
        web = stack.enter_context(running(small=False, beside=("worker", "webhooks"), **settings))
        inside, good = (stack.enter_context(receiving(status(200))) for _ in range(2))
        redirect = status(302, f"Location: {inside.url}\r\n")
        answers = {"hangs": hang, "drips": drip, "500": status(500), "redirects": redirect, "1 GB": gigabyte}
        receivers = {name: stack.enter_context(receiving(answer)) for name, answer in answers.items()}
        urls = {name: receiver.url for name, receiver in receivers.items()} | {"refuses": refusing()}
        seconds_of(ask(web))  # the first one waits for the models
        alone = seconds_of(ask(web))
        delays, places = [], list(urls.values())
        picture = ask(web, good.url)
        for number in range(TELLERS):
            if number % GOOD_EVERY:
                # "localhost" is the bad receivers' host, 127.0.0.1 the good one's.
                ask(web, places[number % len(places)].replace("127.0.0.1", "localhost"))
                continue
            before, began = len(good.requests), time.monotonic()
            ask(web, good.url)
            while len(good.requests) == before and time.monotonic() < began + 60:
                time.sleep(0.02)
            delays.append(time.monotonic() - began)
        beside = seconds_of(picture)
        print(f"one picture: {alone:.1f} s with no webhooks, {beside:.1f} s beside {TELLERS} jobs with some")
        p50, worst = statistics.median(delays), max(delays)
        print(
            f"the good receiver's {len(delays)} messages came after {p50:.2f} s (p50), {worst:.2f} s (worst)"
        )
        print(f"requests that a redirect led inside: {len(inside.requests)}")
        sent, times = receivers["1 GB"].sent / 2**20, len(receivers["1 GB"].requests)
        print(f"of {times} gigabytes, taken: {sent:.0f} MB, by the kernel's buffers")
        log = (web.folder / "webhooks.log").read_text()
        results = re.findall(r"try 1: (.*?), (?:again|delivered|dead)", log)
        for text in sorted(set(results)):
            print(f"  {results.count(text):4} x {text}")


if __name__ == "__main__":
    main()
