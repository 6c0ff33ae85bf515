"""Slow networks stop nobody: the site answers while more clients than threads read and send slowly."""

import asyncio
import math

import pytest

from benchmarks.harness import slow_clients
from benchmarks.harness.running_service import running
from tests.access.test_sizes import paths

pytestmark = pytest.mark.slow
ADDRESSES = ("/healthz", "/readyz", "/api/pois/", "/", slow_clients.LARGE)


@pytest.fixture(scope="module")
def web():
    with running(small=False, beside=(), threads=2) as web:
        yield web


async def answers_meanwhile(port: int) -> dict[str, float]:
    async with slow_clients.crowd(port, readers=12, writers=12):
        await asyncio.sleep(1)  # they hold what they can get
        return {path: await slow_clients.seconds_to_answer(port, path) for path in ADDRESSES}


def test_the_site_answers_while_many_clients_are_slow(web):
    answered = asyncio.run(answers_meanwhile(web.port))
    assert math.inf not in answered.values(), answered


async def answers_beside(port: int, paths: list[str]) -> dict[str, float]:
    async with slow_clients.held(port, paths):
        await asyncio.sleep(1)
        return {path: await slow_clients.seconds_to_answer(port, path, 60) for path in ADDRESSES}


def test_the_site_answers_while_clients_of_every_url_are_slow(web):
    answered = asyncio.run(answers_beside(web.port, paths()))
    assert math.inf not in answered.values(), answered


def test_a_slow_upload_is_answered(web):
    """400 kB at 50 kB a second: slower than any pause that is taken for silence would allow."""
    assert asyncio.run(slow_clients.upload(web.port)).startswith("HTTP/1.1 400")  # they are no photos
