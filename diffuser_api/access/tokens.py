"""Authentication: a client is known by its token; with OPEN_API, requests from this host need none.

A client is a front-end, not a person. It has no password and no account, only tokens of 256 random bits. The
database holds a plain SHA-256 of each token: nobody can guess so many bits. ``visible_to`` in ``models``
chooses the rows that a caller may see.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from django.conf import settings
from django.core import signing
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated, ParseError

from diffuser_api.access import addresses
from diffuser_api.models import VISITOR_LENGTH, ApiToken, Client

PREFIX = "cart_"  # lets people, and scanners for leaked secrets, recognise a token
VISITOR = re.compile(rf"[!-~]{{1,{VISITOR_LENGTH}}}")
FORWARDING_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
SECONDS_OF_ONE_URL = 3600  # a signed URL changes no more often, so that browsers can cache the picture


@dataclass(frozen=True)
class Caller:
    """The sender of a request. ``client``: None without a token. ``visitor``: None for the whole client.
    ``address``: the visitor's IP address, if it is known. It serves only for limits and turns in the
    queue."""

    client: Client | None
    visitor: str | None = None
    address: str = field(default="", compare=False)
    is_authenticated = True  # REST framework's permissions look at it


# --- tokens -------------------------------------------------------------------------------------------------


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def issue_token(client: Client) -> str:
    """A new token. It can't be shown again: only its hash is stored."""
    token = PREFIX + secrets.token_urlsafe(32)
    ApiToken.objects.create(client=client, hash=token_hash(token), start=token[:9])
    return token


def bearer_token(request) -> str:
    """The token in the header Authorization; empty without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def carries(request, token: str) -> bool:
    """Whether the request carries this token."""
    return secrets.compare_digest(token_hash(bearer_token(request)), token_hash(token))


def client_middleware(get_response):
    """Sets ``request.client``: the client whose token the request carries, or None."""

    def answer(request):
        token, request.client = bearer_token(request), None
        if token.startswith(PREFIX):
            known = Client.objects.filter(tokens__hash=token_hash(token), is_active=True)
            request.client = next(iter(known.order_by()), None)
        return get_response(request)

    return answer


# --- callers ------------------------------------------------------------------------------------------------


def caller_of(request) -> Caller:
    """Raises NotAuthenticated, AuthenticationFailed (both 401) or ParseError (400), saying what to do."""
    if request.client is None:
        if "Authorization" in request.headers:  # also an empty one: a token may be missing by mistake
            raise AuthenticationFailed(
                "Send `Authorization: Bearer TOKEN`. This token is unknown, withdrawn, or of a client that "
                "is switched off."
            )
        if not settings.OPEN_API:
            raise NotAuthenticated(
                "Send the header `Authorization: Bearer TOKEN`; `manage.py create_client NAME` makes a token."
            )
        if reason := why_not_open(request):
            raise NotAuthenticated(f"OPEN_API answers without a token only on its own host: {reason}.")
    visitor = request.headers.get("X-Visitor")
    if visitor is not None and not VISITOR.fullmatch(visitor):
        raise ParseError(
            f"X-Visitor takes 1 to {VISITOR_LENGTH} visible ASCII characters. Only a request without this "
            "header speaks for all visitors."
        )
    return Caller(request.client, visitor, _visitors_address(request))


def _visitors_address(request) -> str:
    """The visitor's IP address. A client sends it in X-Visitor-Address, because all of its requests come from
    the client's own server. Without a token, it is the sender's."""
    told = request.headers.get("X-Visitor-Address")
    if request.client is None:
        return addresses.address_of(request)
    if told is None:
        return ""
    if address := addresses.network_of(told.strip()):
        return address
    raise ParseError("X-Visitor-Address takes one IPv4 or IPv6 address, without a port.")


def why_not_open(request) -> str:
    """Why a request without a token isn't from this host; empty if it is.

    The IP address alone isn't enough. A proxy on this host forwards the requests of strangers from 127.0.0.1.
    And a web page that is open on this host can make the browser send forms to the server.
    """
    address = request.META.get("REMOTE_ADDR", "")
    if not in_networks(address, settings.OPEN_API_NETWORKS):
        return f"this request comes from {address or 'a socket'}, which is not in OPEN_API_NETWORKS"
    forwarded = next((name for name in FORWARDING_HEADERS if name in request.headers), None)
    if forwarded:
        return f"this request came through a proxy ({forwarded})"
    if _is_of_another_page(request):
        return "this request was sent by another site's page"
    return ""


def _is_of_another_page(request) -> bool:
    """Whether a page of another origin (also on another port of this host) made a browser send this request.
    A link that a person follows doesn't count. Programs other than browsers send none of these headers."""
    origin = request.headers.get("Origin")
    if origin is not None:
        own = f"{request.scheme}://{request.get_host()}"
        return origin not in (own, *settings.CSRF_TRUSTED_ORIGINS)
    if request.headers.get("Sec-Fetch-Site", "none") in ("same-origin", "none"):
        return False
    how = tuple(request.headers.get(f"Sec-Fetch-{name}") for name in ("Mode", "Dest"))
    return request.method not in ("GET", "HEAD") or how != ("navigate", "document")


def in_networks(address: str, networks: list[str]) -> bool:
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return any(ip in ip_network(network) for network in networks)


class TokenAuthentication(BaseAuthentication):
    def authenticate(self, request):
        return caller_of(request._request), None

    def authenticate_header(self, request):
        return 'Bearer realm="cartolina"'


class TokenScheme(OpenApiAuthenticationExtension):
    """The token in the API's schema."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema):
        return {"type": "http", "scheme": "bearer", "description": "A client's token."}


# --- signed URLs of pictures --------------------------------------------------------------------------------


def _signer() -> signing.Signer:
    return signing.Signer(salt="diffuser_api.output", sep=".")


def current_period() -> int:
    """A number that changes when signed URLs do."""
    return int(time.time()) // SECONDS_OF_ONE_URL


def sign_output(code: str) -> str:
    """The value of ``?sig=`` with which anybody may fetch this picture for the next OUTPUT_URL_HOURS."""
    expires = (current_period() + 1) * SECONDS_OF_ONE_URL + settings.OUTPUT_URL_HOURS * 3600
    return _signer().sign(f"{code}.{expires}").removeprefix(f"{code}.")


def signature_is_good(code: str, signature: str) -> bool:
    try:
        expires = int(_signer().unsign(f"{code}.{signature}").partition(".")[2])
    except (signing.BadSignature, ValueError):
        return False
    return time.time() < expires
