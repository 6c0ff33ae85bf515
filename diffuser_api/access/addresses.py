"""A sender's IP address, also behind proxies, and the mark that a job's row stores instead of it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

UNKNOWN = "unknown"
MARK_LENGTH = 16


def address_of(request) -> str:
    """The sender's IP address (of IPv6, the network /64): see ``find``."""
    return find(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))


def find(connection: str, forwarded: str) -> str:
    """The sender's IP address. Without proxies, it is ``connection``, the connection's other end.

    ``forwarded`` is the header X-Forwarded-For. Each proxy adds the address that it sees at its end. So entry
    number NUM_PROXIES from the end is from the outermost proxy. The sender may have invented the entries
    before it.
    """
    address = connection
    if settings.NUM_PROXIES:
        passed = forwarded.split(",")
        address = passed[-min(settings.NUM_PROXIES, len(passed))].strip() or address
    return network_of(address) or UNKNOWN


def network_of(address: str) -> str:
    """An IPv4 address as it is; for an IPv6 address its network /64. Empty if the text is no IP address."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ip if ip.version == 4 else ip_network(f"{ip}/64", strict=False))


def mark_of(address: str) -> str:
    """A keyed hash of an IP address and the date. During a day, it tells the jobs of different addresses
    apart."""
    text = f"{timezone.now().date()} {address}"
    return salted_hmac("diffuser_api.access.addresses", text, algorithm="sha256").hexdigest()[:MARK_LENGTH]
