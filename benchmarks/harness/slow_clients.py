"""Clients that hold a connection without using it: they send or read slowly, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

BYTES_A_SECOND = 50_000  # of an upload from a weak mobile network
TICKS = 10  # pieces that a second's bytes are sent or read in
UPLOAD = 400_000  # bytes: a slow photo
UNREAD = 40  # answers that a client does not read: together, more than the sockets' buffers hold
A_FEW = 4  # answers of one URL, which may take long to make
LARGE = "/static/admin/js/vendor/jquery/jquery.js"  # 285 kB
UPLOAD_HEAD = (
    "POST /api/lora-training/ HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\n"
    f"Content-Length: {UPLOAD}\r\n\r\n"
)
UPLOAD_START = b'--b\r\nContent-Disposition: form-data; name="images"; filename="a.jpg"\r\n\r\n'
UPLOAD_END = b"\r\n--b--\r\n"


async def upload(port: int) -> str:
    """An honest photo at BYTES_A_SECOND: the answer's first line."""
    body = UPLOAD_START + bytes(UPLOAD - len(UPLOAD_START) - len(UPLOAD_END)) + UPLOAD_END
    piece = BYTES_A_SECOND // TICKS
    async with _connection(port) as (reader, writer):
        writer.write(UPLOAD_HEAD.encode())
        for start in range(0, len(body), piece):
            writer.write(body[start : start + piece])
            await writer.drain()
            await asyncio.sleep(1 / TICKS)
        return (await reader.readline()).decode().strip()


async def drip(port: int) -> str:
    """A header that comes byte by byte and has no end."""
    async with _connection(port) as (reader, writer):
        for byte in b"GET /api/pois/ HTTP/1.1\r\nX: " + b"y" * 10_000:
            writer.write(bytes([byte]))
            await writer.drain()
            with contextlib.suppress(TimeoutError):
                return (await asyncio.wait_for(reader.readline(), 0.5)).decode().strip()
    return ""


async def fall_silent(port: int) -> str:
    """Stops in the middle of a body."""
    async with _connection(port) as (reader, writer):
        writer.write(UPLOAD_HEAD.encode() + UPLOAD_START)
        return (await reader.readline()).decode().strip()


async def read_nothing(port: int) -> str:
    """Asks for more than the sockets hold, and reads none of it."""
    async with _connection(port, buffer=2048) as (_, writer):
        writer.write(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode() * UNREAD)
        await asyncio.sleep(3600)
    return ""


async def read_slowly(port: int) -> str:
    """Reads one answer at a fiftieth of BYTES_A_SECOND: the last line, if the server's patience is enough."""
    async with _connection(port, buffer=2048) as (reader, writer):
        writer.write(f"GET {LARGE} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        first = await reader.readline()
        while await reader.read(BYTES_A_SECOND // 50 // TICKS):
            await asyncio.sleep(1 / TICKS)
        return first.decode().strip()


@contextlib.asynccontextmanager
async def held(port: int, paths: list[str]):
    """For the time of the block, three clients at each path: without an end of the header, silent in the
    middle of a body, and reading none of its answers."""
    head = "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    body = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n{{"
    async with contextlib.AsyncExitStack() as all_of_them:
        for path in paths:
            get, post = (head.format(method=method, path=path) for method in ("GET", "POST"))
            for text in (post, post + body, f"{get}\r\n" * A_FEW):
                _, writer = await all_of_them.enter_async_context(_connection(port, buffer=2048))
                writer.write(text.encode())
        yield


@contextlib.asynccontextmanager
async def _connection(port: int, buffer: int = 0):
    """``buffer``: bytes that wait here unread."""
    sender = socket.socket()
    if buffer:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sender.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sender, ("127.0.0.1", port))
    reader, writer = await asyncio.open_connection(sock=sender, limit=buffer or 2**16)
    try:
        yield reader, writer
    finally:
        writer.close()


SLOW_READERS = (read_nothing, read_slowly)
SLOW_WRITERS = (upload, drip, fall_silent)


@contextlib.asynccontextmanager
async def crowd(port: int, readers: int, writers: int):
    """So many slow clients for the time of the block, each taken up again when it has ended."""

    async def again(client) -> None:
        while True:
            with contextlib.suppress(OSError):
                await client(port)
            await asyncio.sleep(0.1)

    kinds = [SLOW_READERS[n % len(SLOW_READERS)] for n in range(readers)]
    kinds += [SLOW_WRITERS[n % len(SLOW_WRITERS)] for n in range(writers)]
    clients = [asyncio.create_task(again(kind)) for kind in kinds]
    try:
        yield
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def seconds_to_answer(port: int, path: str = "/healthz", patience: float = 10.0) -> float:
    """``inf`` without an answer 200 within ``patience``."""
    began = time.monotonic()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(patience), _connection(port) as (reader, writer):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
            answer = await reader.read()
            if b" 200 " in answer[:15]:
                return time.monotonic() - began
    return float("inf")
