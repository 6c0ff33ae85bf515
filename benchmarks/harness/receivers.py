"""Servers that answer as one says, good and bad, each a real one on a free port of this host."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field


@dataclass
class Receiver:
    port: int
    host: str = "127.0.0.1"
    requests: list[bytes] = field(default_factory=list)  # head and body of each, as they came
    sent: int = 0  # bytes of answers that the other side took

    @property
    def origin(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/hook?key=1"


Answer = Callable[[socket.socket, Receiver], None]


def say(text: str) -> Answer:
    return lambda connection, receiver: connection.sendall(text.encode())


def status(code: int, extra: str = "") -> Answer:
    return say(f"HTTP/1.1 {code} Said\r\nContent-Length: 0\r\n{extra}\r\n")


def redirect_to_itself(connection, receiver) -> None:
    path = receiver.requests[-1].split()[1].decode()
    status(301, f"Location: {receiver.origin}{path}\r\n")(connection, receiver)


def hang(connection, receiver) -> None:
    connection.settimeout(30)
    connection.recv(1)  # until the other side hangs up


def drip(connection, receiver) -> None:
    """A byte now and then, so that no read ever times out."""
    for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


def gigabyte(connection, receiver) -> None:
    connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {2**30}\r\n\r\n".encode())
    for _ in range(1024):
        connection.sendall(b"\0" * 2**20)
        receiver.sent += 2**20


@contextlib.contextmanager
def receiving(
    answer: Answer, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> Iterator[Receiver]:
    """A server that reads one request of each connection and lets ``answer`` speak. Port 0: a free one."""
    with socket.create_server((host, port)) as server:
        receiver = Receiver(server.getsockname()[1], host)

        def serve(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                stream = tls.wrap_socket(connection, server_side=True) if tls else connection
                receiver.requests.append(read_request(stream))
                answer(stream, receiver)
                stream.shutdown(socket.SHUT_WR)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield receiver
        server.shutdown(socket.SHUT_RDWR)


def read_request(stream: socket.socket) -> bytes:
    content = b""
    while b"\r\n\r\n" not in content:
        content += stream.recv(65536) or b"\r\n\r\n"
    head, _, body = content.partition(b"\r\n\r\n")
    lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while lengths and len(body) < int(lengths[0].split(b":")[1]) and (more := stream.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


def refusing() -> str:
    """The URL of a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}/"
