"""A few of the hostile requests of benchmarks/hostile.py, sent to a real server."""

from benchmarks import hostile, service


def test_hostile_requests_get_answers_and_no_secrets():
    with service.running(ADDRESS_RATE="0/minute") as web:
        report, before, after = hostile.run(web, 120)
        healthy = hostile.send(web.port, hostile.request("GET", "/healthz"))
    assert not report.bad, report.bad
    assert report.answers["400"] > 20 and report.answers["404"] > 10
    assert after < before + 200, "MB"  # the benchmark says more exactly
    assert b'{"status": "ok"}' in healthy


def test_a_client_that_falls_silent_is_hung_up_on():
    """As many as there are threads: none would answer any more if they waited for ever."""
    with service.running(threads=2) as web:
        assert hostile.silent_clients(web.port, number=2) < 25
