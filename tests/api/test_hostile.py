"""A few of the hostile requests of benchmarks/hostile.py, sent to a real server."""

import math

import pytest

from benchmarks import hostile
from benchmarks.harness.running_service import running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def web():
    with running(small=False, beside=(), threads=2) as web:
        yield web


def test_hostile_requests_get_answers_and_no_secrets(web):
    report, before, after = hostile.run(web, 90)
    assert not report.bad, report.bad
    assert report.answers["400"] > 15 and report.answers["404"] > 5
    assert after < before + 200, "MB"  # the benchmark says more exactly
    assert b'{"status": "ok"}' in hostile.send(web.port, hostile.request("GET", "/healthz"))


def test_a_client_that_falls_silent_is_hung_up_on(web):
    """As many as there are threads: none would answer any more if they waited for ever."""
    assert math.isfinite(hostile.silent_clients(web.port, number=2))
