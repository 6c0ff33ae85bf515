"""The road from a worker to the web server is tried, and what is wrong with it is said by name."""

import logging

import pytest

from benchmarks.harness.receivers import receiving, status
from benchmarks.harness.running_service import free_port
from diffuser_api.operations import checks, delivery


@pytest.fixture
def another_server(request):
    """The address of a server that gives one answer to every request."""
    with receiving(request.param) as receiver:
        yield receiver.origin


def test_the_right_address_has_no_problem(live_server, settings):
    settings.ALLOWED_HOSTS, settings.SECURE_SSL_REDIRECT = ["cartolina.example"], True
    settings.SERVER_URL = live_server.url + "/"
    assert delivery.check() == ""


@pytest.mark.parametrize("address", ["web:8000", "", "ftp://web", "http://", "http://a b/"])
def test_what_is_no_address_is_said_to_be_none(address, settings):
    settings.SERVER_URL = address
    assert "SERVER_URL" in delivery.check() and "no address" in delivery.check()


@pytest.mark.parametrize(
    "another_server, words",
    [
        (status(301, "Location: https://cartolina.example/\r\n"), "redirects to https://cartolina.example/"),
        (status(400), "answers 400"),
        (status(403), "answers 403"),
        (status(404), "another server"),
        (status(200), "another server"),
        (status(502), "web server's log"),
    ],
    indirect=["another_server"],
)
def test_a_wrong_server_is_told_from_ours(another_server, words, settings):
    settings.SERVER_URL = another_server
    (message,) = checks.trainings_can_be_delivered(None)
    assert message.id == "cartolina.W005" and words in message.msg and "SERVER_URL" in message.msg


def test_a_server_that_is_not_up_fails_no_start(settings, monkeypatch, caplog):
    settings.SERVER_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(delivery.NotUp, match="does not answer"):
        delivery.check()
    assert [message.id for message in checks.trainings_can_be_delivered(None)] == ["cartolina.I001"]
    monkeypatch.setattr(delivery, "SECONDS_BETWEEN_TRIES", 0)
    with caplog.at_level(logging.WARNING):
        delivery.report()
    assert [record.message for record in caplog.records if "can't be delivered" in record.message]
