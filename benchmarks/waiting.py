"""Clients that wait for their picture, and new ones: how long do the new ones take?

The web server alone, so that no picture is ever done and everybody waits who may.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time

import requests

from benchmarks.harness.running_service import RunningService, running

WAIT_SECONDS = 30
REQUESTS = 60


def seconds_of_new_clients(service: RunningService) -> list[float]:
    """A request for a picture and two looks at it, in turns, each on a connection of its own."""
    times = []
    for number in range(REQUESTS // 3):
        for attempt in range(3):
            start = time.monotonic()
            if attempt == 0:
                status_url = service.ask(f"new {time.time()} {number}").json()["status_url"]
            else:
                requests.get(status_url, timeout=90)
            times.append(time.monotonic() - start)
    return times


def wait_for_pictures(service: RunningService, clients: int) -> tuple[list[threading.Thread], list[float]]:
    took = []

    def wait(number: int) -> None:
        start = time.monotonic()
        service.ask(f"waiting {number}", Prefer=f"wait={WAIT_SECONDS}")
        took.append(time.monotonic() - start)

    threads = [threading.Thread(target=wait, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    return threads, took


def show(who: str, times: list[float]) -> None:
    percentile = statistics.quantiles(times, n=20)[-1]
    print(
        f"{who:38} p50 {statistics.median(times) * 1000:6.0f} ms  p95 {percentile * 1000:6.0f} ms", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    args = parser.parse_args()
    with running(beside=()) as service:
        show("new clients, nobody waits", seconds_of_new_clients(service))
        threads, took = wait_for_pictures(service, args.clients)
        show(f"new clients, {args.clients} others ask to wait", seconds_of_new_clients(service))
        for thread in threads:
            thread.join()
    waited = sum(seconds >= WAIT_SECONDS for seconds in took)
    print(f"{waited} of {args.clients} waited {WAIT_SECONDS} s, the others were answered at once")


if __name__ == "__main__":
    main()
