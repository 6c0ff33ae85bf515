"""The road from a worker to the web server is tried, and what is wrong with it is said by name."""

import http.server
import logging
import threading

import pytest

from benchmarks.harness.running_service import free_port
from diffuser_api.operations import checks, delivery


@pytest.fixture
def another_server(request):
    """Answers every POST with one status; its address."""
    status, headers = request.param

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


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
        ((301, {"Location": "https://cartolina.example/"}), "redirects to https://cartolina.example/"),
        ((400, {}), "answers 400"),
        ((403, {}), "answers 403"),
        ((404, {}), "another server"),
        ((200, {}), "another server"),
        ((502, {}), "web server's log"),
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
