"""The address that a request really comes from, and the mark of it that a job's row may keep."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

UNKNOWN = "unknown"
MARK_LENGTH = 16


def address_of(request) -> str:
    """The sender's address, or the last that the outermost of NUM_PROXIES wrote; of IPv6, the network /64."""
    return find(request.META.get("REMOTE_ADDR", ""), request.headers.get("X-Forwarded-For", ""))


def find(connection: str, forwarded: str) -> str:
    """``connection``: the address at its other end. ``forwarded``: the header X-Forwarded-For."""
    address = connection
    if settings.NUM_PROXIES:
        passed = forwarded.split(",")
        address = passed[-min(settings.NUM_PROXIES, len(passed))].strip() or address
    return network_of(address) or UNKNOWN


def network_of(address: str) -> str:
    """An IPv4 address as it is, of an IPv6 address its network /64; empty if it is none."""
    try:
        ip = ip_address(address)
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ip if ip.version == 4 else ip_network(f"{ip}/64", strict=False))


def mark_of(address: str) -> str:
    """Tells jobs of one address from those of others, for a day, without saying which address it is."""
    text = f"{timezone.now().date()} {address}"
    return salted_hmac("diffuser_api.access.addresses", text, algorithm="sha256").hexdigest()[:MARK_LENGTH]
