"""The web server: slow and silent clients cost no thread and little time, and honest ones lose nothing."""

import contextlib
import http.client
import io
import logging
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from benchmarks.harness import ROOT
from benchmarks.harness.running_worker import wait_until
from diffuser_api.front import connection, lanes, server

SMALL = 1000  # bytes that a request may have here
PATIENCE = 20.0  # seconds until a test gives up


class Site:
    """A server of two threads with an application that notes what arrives; ``/wait`` waits for ``go_on``."""

    def __init__(self):
        self.seen, self.go_on, self.waits = [], threading.Event(), threading.Semaphore(0)
        self.server = server.Server(self.answer, "127.0.0.1:0", 2, change_threads=2, file_threads=2)
        self.port = int(self.server.effective_port)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()

    def answer(self, environ, start_response):
        path = environ["PATH_INFO"]
        self.seen.append((environ.get("CONTENT_LENGTH"), len(environ["wsgi.input"].read())))
        if path == "/wait":
            self.waits.release()
            self.go_on.wait(PATIENCE)
        too_large = int(environ.get("CONTENT_LENGTH") or 0) > SMALL
        body = bytes(8 * 2**20) if path == "/large" else b"hello"
        headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        start_response("413 Too Large" if too_large else "200 OK", headers)
        return environ["wsgi.file_wrapper"](io.BytesIO(body)) if path == "/file" else [body]

    def send(self, text: bytes, buffer: int = 0) -> socket.socket:
        client = socket.socket()
        client.settimeout(PATIENCE)
        if buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        client.connect(("127.0.0.1", self.port))
        client.sendall(text)
        return client

    def get(self, path: str) -> int:
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        with contextlib.closing(client):
            client.request("GET", path)
            return client.getresponse().status

    def stop(self):
        self.go_on.set()
        self.server.stop()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


@pytest.fixture
def site(monkeypatch):
    monkeypatch.setattr("diffuser_api.access.size_limits.most_bytes", lambda path, headers: SMALL)
    monkeypatch.setattr(server, "SECONDS_BETWEEN_CHECKS", 0.05)
    site = Site()
    yield site
    site.stop()


def read_all(client: socket.socket) -> bytes:
    """Until the server closes the connection."""
    with client, contextlib.suppress(ConnectionResetError):
        return b"".join(iter(lambda: client.recv(65536), b""))
    return b""


BODY_THAT_STOPS = b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{"


def test_silent_clients_are_hung_up_on_with_one_line_in_the_log(site, monkeypatch, caplog):
    clients = [site.send(BODY_THAT_STOPS) for _ in range(28)]
    while len(site.server.active_channels) < 28 or not all(
        one.request for one in list(site.server.active_channels.values())
    ):
        time.sleep(0.01)
    with caplog.at_level(logging.INFO):
        monkeypatch.setattr(connection, "SECONDS_OF_SILENCE", 0.0)
        assert {read_all(client) for client in clients} == {b""}
        site.stop()
    assert [record.getMessage() for record in caplog.records] == [
        "connections closed for being silent or too slow: 28"
    ]
    assert site.seen == []  # no thread was occupied


def test_a_header_without_an_end_is_hung_up_on(site, monkeypatch):
    monkeypatch.setattr(connection, "SECONDS_FOR_A_HEADER", 0.5)
    client = site.send(b"GET / HTTP/1.1\r\n")
    with contextlib.suppress(OSError):
        for _ in range(200):  # a byte now and then: never silent
            client.sendall(b"x")
            time.sleep(0.05)
        pytest.fail("it was listened to for ever")


def test_a_body_that_drips_is_hung_up_on(site, monkeypatch):
    monkeypatch.setattr(connection, "SECONDS_OF_SILENCE", 0.5)
    client = site.send(BODY_THAT_STOPS)
    with contextlib.suppress(OSError):
        for _ in range(200):
            client.sendall(b"x")
            time.sleep(0.05)
        pytest.fail("it was listened to for ever")


def test_a_client_that_does_not_read_is_hung_up_on_and_holds_no_thread(site, monkeypatch):
    clients = [site.send(b"GET /large HTTP/1.1\r\n\r\n", buffer=2048) for _ in range(6)]
    assert site.get("/") == 200  # with two threads
    monkeypatch.setattr(connection, "SECONDS_TO_READ", 0.2)
    wait_until(lambda: not site.server.active_channels, PATIENCE)
    for client in clients:
        client.close()


def test_silence_is_found_though_the_clock_is_set_back(site, monkeypatch):
    client = site.send(BODY_THAT_STOPS)
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)
    monkeypatch.setattr(connection, "SECONDS_OF_SILENCE", 0.2)
    assert read_all(client) == b""


def test_a_connection_that_a_browser_keeps_is_kept(site):
    """For longer than the two seconds after which it was cut."""
    client = http.client.HTTPConnection("127.0.0.1", site.port, timeout=PATIENCE)
    with contextlib.closing(client):
        for pause in (0, 2.5):
            time.sleep(pause)
            client.request("GET", "/")
            assert client.getresponse().read() == b"hello"


def test_health_is_told_while_all_threads_are_busy(site):
    waiting = [site.send(b"GET /wait HTTP/1.1\r\n\r\n") for _ in range(4)]
    for _ in range(2):
        assert site.waits.acquire(timeout=PATIENCE)
    assert site.get("/healthz") == site.get("/readyz") == 200
    site.go_on.set()
    for client in waiting:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.close()


def test_who_only_reads_does_not_wait_behind_changes(site):
    waiting = [site.send(b"DELETE /wait HTTP/1.1\r\n\r\n") for _ in range(6)]
    for _ in range(2):
        assert site.waits.acquire(timeout=PATIENCE)
    assert [site.get("/") for _ in range(5)] == [200] * 5
    assert not site.waits.acquire(timeout=0.2)  # the other changes wait for the first two
    site.go_on.set()
    for client in waiting:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.close()


PHOTO = b"POST /wait HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 0\r\n"


def photo_from(site, address: str):
    return site.send(PHOTO + f"X-Forwarded-For: {address}\r\n\r\n".encode())


def test_photos_that_wait_to_be_looked_at_hold_no_other_page(site):
    waiting = [site.send(PHOTO + b"\r\n") for _ in range(12)]
    assert site.waits.acquire(timeout=PATIENCE)
    assert [site.get("/") for _ in range(5)] == [200] * 5
    site.go_on.set()
    for client in waiting:
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        client.close()


def test_a_finished_training_does_not_wait_behind_strangers_photos(site):
    waiting = [site.send(PHOTO + b"\r\n") for _ in range(12)]
    assert site.waits.acquire(timeout=PATIENCE)
    road = b"/api/lora-training/12345678/complete/"
    delivery = site.send(PHOTO.replace(b"/wait", road) + b"Connection: close\r\n\r\n")
    assert read_all(delivery).endswith(b"hello")
    for client in waiting:
        client.close()


def test_a_strangers_photos_leave_a_thread_for_the_next_address(site, settings):
    settings.NUM_PROXIES = 1
    waiting = [photo_from(site, "198.51.100.7") for _ in range(12)]
    assert site.waits.acquire(timeout=PATIENCE)
    waiting.append(photo_from(site, "203.0.113.9"))
    assert site.waits.acquire(timeout=PATIENCE)  # two threads: one each
    assert not site.waits.acquire(timeout=0.2)
    for client in waiting:
        client.close()


def test_a_sender_of_too_many_photos_is_told_when_to_come_again(site, settings, monkeypatch):
    settings.NUM_PROXIES = 1
    monkeypatch.setattr(lanes, "MOST_WAITING", 3)
    waiting = [photo_from(site, "198.51.100.7")]
    assert site.waits.acquire(timeout=PATIENCE)  # a thread has it, so that the next three wait
    waiting += [photo_from(site, "198.51.100.7") for _ in range(3)]
    wait_until(lambda: len(site.server.file_lane.queue) == 3, PATIENCE)
    refused = read_all(photo_from(site, "198.51.100.7"))
    assert refused.startswith(b"HTTP/1.1 429") and b"Retry-After: 5" in refused and b"again in" in refused
    for client in waiting:
        client.close()


def test_senders_take_turns():
    queue = lanes.Turns(most=1)
    for sender, name in (("a", 1), ("a", 2), ("a", 3), ("b", 4), ("c", 5)):
        queue.append(lanes.Turn(name, sender, None))
    order = []
    while queue:
        turn = queue.popleft()
        order.append(turn.task)
        queue.end(turn.sender)
    assert order == [1, 4, 5, 2, 3]


def test_too_many_connections_make_room_for_the_next(site):
    site.server.most_connections = 5
    clients = [site.send(b"GET / HTTP/1.1\r\nX") for _ in range(12)]
    assert site.get("/healthz") == 200
    assert len(site.server.active_channels) <= 6
    assert read_all(clients[0]) == b""  # the first was silent for longest
    for client in clients:
        client.close()


@pytest.mark.parametrize("framing", ["Content-Length: 30000000", "Transfer-Encoding: chunked"])
def test_a_body_that_is_too_large_is_refused_unread_and_the_client_gets_to_know(site, framing):
    client = site.send(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode())
    piece = b"186a0\r\n" + bytes(100_000) + b"\r\n"
    with contextlib.suppress(OSError):
        for _ in range(300):  # a client that sends it all before it reads
            client.sendall(piece)
    assert read_all(client).startswith(b"HTTP/1.1 413")
    ((declared, arrived),) = site.seen
    assert int(declared) > SMALL and arrived == 0


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nX-Visitor: \x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"?\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
    ids=["a control character", "a space", "no line", "a host that is none", "a length of 5000 digits"],
)
def test_a_header_that_cannot_be_read_is_answered(text, site, caplog):
    assert b" 400 Bad Request" in read_all(site.send(text))[:30]
    assert site.get("/") == 200
    assert caplog.records == []


HIDDEN = b"GET /hidden HTTP/1.1\r\n\r\n"
# Two servers in a row could see the end of each of these in different places.
CHUNKED, KEPT = "Transfer-Encoding: chunked\r\n", "Connection: keep-alive\r\n"
AMBIGUOUS = {
    "chunks in an old version": f"1.0\r\n{KEPT}{CHUNKED}\r\n",
    "chunks in no version": f"9.9\r\n{KEPT}{CHUNKED}\r\n",
    "chunks and a length": f"1.1\r\nContent-Length: 5\r\n{CHUNKED}\r\n0\r\n\r\n",
    "two lengths": "1.1\r\nContent-Length: 0\r\nContent-Length: 26\r\n\r\n",
    "chunks in an unknown coding": "1.1\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
    "chunks twice, in two lines": f"1.1\r\n{CHUNKED}{CHUNKED}\r\n0\r\n\r\n",
    "chunks twice, in one line": "1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks twice, in a folded line": "1.1\r\nTransfer-Encoding: chunked\r\n , Chunked\r\n\r\n0\r\n\r\n",
    "chunks and a comma": "1.1\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "a coding without a name, and a length": "1.1\r\nTransfer-Encoding:\r\nContent-Length: 0\r\n\r\n",
    "a chunk without an end": f"1.1\r\n{CHUNKED}\r\n1\r\nxxx0\r\n\r\n",
    "chunks on bare lines": f"1.1\r\n{CHUNKED}\r\n1\nx\n0\n\n",
}


@pytest.mark.parametrize("start", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_a_request_hidden_in_another_ones_body_is_not_answered(start, site):
    answer = read_all(site.send(b"POST / HTTP/" + start.encode() + HIDDEN))
    assert answer.count(b"HTTP/1.") == 1 and answer[8:11] in (b" 40", b" 50")
    assert b"keep-alive" not in answer.lower()
    assert site.seen == []


@pytest.mark.parametrize("path", ["/", "/file"])
def test_the_answer_to_head_has_no_body_that_the_next_request_would_get(path, site):
    last = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
    client = site.send(f"HEAD {path} HTTP/1.1\r\n\r\n{last}".encode())
    header, _, rest = read_all(client).partition(b"\r\n\r\n")
    assert b"Content-Length: 5" in header
    assert rest.startswith(b"HTTP/1.1 200 OK") and rest.endswith(b"\r\n\r\nhello")


def test_a_request_that_expects_to_go_on_without_a_body_is_answered_alone(site):
    """Else the next one's header would be taken for a part of it."""
    client = site.send(b"GET / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 200 OK")
    client.close()


@pytest.mark.parametrize("start", [b"1" * 8000, b"1;" + b"x" * 8000, b"0\r\n" + b"A: b\r\n" * 2000])
def test_a_line_between_chunks_has_a_limit(start, site, monkeypatch):
    """All of an unfinished line is searched again with each piece that comes. The one thread that talks with
    all clients does it."""
    monkeypatch.setattr("diffuser_api.access.size_limits.most_bytes", lambda path, headers: 2**30)
    client = site.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(200):
            client.sendall(start)
    assert read_all(client)[:13] in (b"HTTP/1.1 400 ", b"")  # empty: it was still sending
    wait_until(lambda: not site.server.active_channels, PATIENCE)
    assert site.seen == []


def test_a_chunked_body_arrives(site):
    client = site.send(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")
    client.sendall(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert read_all(client).endswith(b"hello")
    assert site.seen == [("5", 5)]


@pytest.mark.parametrize("path", ["/cartolina/healthz", "/healthz"])
def test_a_server_below_a_path_knows_its_own_addresses(path, site, monkeypatch):
    """Whether the proxy passes the path on or takes it away."""
    monkeypatch.setattr(site.server.adj, "url_prefix", "/cartolina")
    waiting = [site.send(b"GET /cartolina/wait HTTP/1.1\r\n\r\n") for _ in range(4)]
    for _ in range(2):
        assert site.waits.acquire(timeout=PATIENCE)
    assert site.get(path) == 200
    for client in waiting:
        client.close()


def test_the_end_waits_for_the_request_under_way(site):
    client = site.send(b"GET /wait HTTP/1.1\r\n\r\n")
    assert site.waits.acquire(timeout=PATIENCE)
    site.server.stop()
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        site.get("/")
    site.go_on.set()
    assert read_all(client).endswith(b"hello")


HELD_UP = """
import threading
from django.core.management import execute_from_command_line
from diffuser_api.management.commands import web

web.SECONDS_TO_END = 0.5
threading.Thread(target=threading.Event().wait).start()
execute_from_command_line(["manage.py", "web", "--bind", "127.0.0.1:0"])
"""


@pytest.mark.slow
def test_a_thread_that_never_ends_does_not_hold_up_the_end_of_the_server():
    with subprocess.Popen(
        [sys.executable, "-c", HELD_UP], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        while "listening" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(PATIENCE) == 1
        finally:
            process.kill()
