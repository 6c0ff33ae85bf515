"""One POST to a URL that a stranger chose. It must not reach private addresses (server-side request forgery).

The host's name is resolved once, every address is checked, and the connection goes to a checked address, so a
name that resolves differently a moment later does no harm. No redirect is followed, only the status of the
answer is read, and the exchange takes at most SECONDS in all. Knows nothing of webhooks.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import ssl
import threading
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

SECONDS = 10.0  # for TLS, sending, and the answer's status together
SECONDS_TO_CONNECT = 4.0
VISIBLE = re.compile("[!-~]+")
NAT64 = ip_network("64:ff9b::/96")
# Not of the public internet, though some versions of Python's ``is_global`` say so: site-local addresses,
# documentation, ORCHIDv2, segment routing, local NAT64, and 6to4 relays.
NOT_PUBLIC = ("fec0::/10", "3fff::/20", "2001:20::/28", "5f00::/16", "64:ff9b:1::/48", "192.88.99.0/24")


class NotPosted(Exception):
    """There was no answer; the text gives the reason."""


def check_url(url: str, allow_http: bool) -> SplitResult:
    """The parts of a URL that may be posted to. Raises ValueError with what is wrong."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (allow_http and parts.scheme == "http"):
        raise ValueError("the address must begin with https://")
    if not VISIBLE.fullmatch(url):  # of control characters, ``urlsplit`` leaves some out
        raise ValueError("the address takes visible ASCII characters only")
    if not parts.hostname:
        raise ValueError("the address needs a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address must hold no user name or password")
    parts.port  # noqa: B018  raises ValueError itself when it is none
    return parts


def is_public(ip: IPv4Address | IPv6Address) -> bool:
    """False also for IPv6 addresses that carry a private IPv4 address inside."""
    if isinstance(ip, IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1])
        if ip in NAT64:
            inner = IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return is_public(inner)
    in_a_gap = any(ip in ip_network(network) for network in NOT_PUBLIC)
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or in_a_gap)


def look_up(host: str, port: int, allowed_networks: list[str]) -> list[str]:
    """The addresses of a name. Raises NotPosted when there is none, or one neither public nor allowed."""
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NotPosted(f"{host} was not found: {error}") from error
    addresses = [answer[4][0] for answer in answers]
    for address in addresses:
        ip = ip_address(address.partition("%")[0])
        plain = getattr(ip, "ipv4_mapped", None) or ip
        if not is_public(ip) and not any(plain in ip_network(network) for network in allowed_networks):
            raise NotPosted(f"{host} is {address}, which is not a public address")
    return addresses


def post(url: str, body: bytes, headers: dict[str, str], allow_http: bool, networks: list[str]) -> int:
    """The status of the answer. ``networks``: private ones that may be reached. Raises NotPosted."""
    try:
        parts = check_url(url, allow_http)
    except ValueError as error:
        raise NotPosted(str(error)) from error
    port = parts.port or (443 if parts.scheme == "https" else 80)
    addresses = look_up(parts.hostname, port, networks)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        with contextlib.closing(_connect(addresses, port)) as plain:
            return _exchange(parts, port, plain, path, body, headers)
    except TimeoutError as error:
        raise NotPosted("no answer in time") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotPosted(f"{type(error).__name__}: {error}"[:200]) from error


def _connect(addresses: list[str], port: int) -> socket.socket:
    for address in addresses[:-1]:
        with contextlib.suppress(OSError):
            return socket.create_connection((address, port), SECONDS_TO_CONNECT / 2)
    return socket.create_connection((addresses[-1], port), SECONDS_TO_CONNECT)


def _exchange(parts: SplitResult, port: int, plain: socket.socket, path: str, body: bytes, headers) -> int:
    plain.settimeout(SECONDS)
    stream = plain
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.hostname, port)
        context = ssl.create_default_context()
        stream = context.wrap_socket(plain, server_hostname=parts.hostname, do_handshake_on_connect=False)
    else:
        connection = http.client.HTTPConnection(parts.hostname, port)
    late = threading.Event()

    def hang_up() -> None:  # a receiver that sends a byte now and then would never time out
        late.set()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(stream, socket.SHUT_RDWR)

    timer = threading.Timer(SECONDS, hang_up)
    timer.daemon = True
    timer.start()
    try:
        if isinstance(stream, ssl.SSLSocket):
            stream.do_handshake()
        connection.sock = stream
        connection.request("POST", path, body, headers)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()
        stream.close()
        connection.close()
