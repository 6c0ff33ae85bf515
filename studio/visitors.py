"""The studio's visitors: a visitor has no account, but a signed cookie in one browser.

All visitors belong to one client, which is made with the first of them. Each is an ``X-Visitor`` of that
client, so that ``visible_to`` separates them as it does for any other front-end. In another browser, a
visitor types the code of their LoRA and eight letters that only they were shown, since eight digits alone
could be guessed.
"""

from __future__ import annotations

import base64
import functools
import re
import secrets
from dataclasses import dataclass, replace

from django.conf import settings
from django.core import signing
from django.db.models import Q, QuerySet
from django.shortcuts import render
from django.utils.crypto import salted_hmac

from diffuser_api.access import security_headers, tokens
from diffuser_api.access.addresses import address_of
from diffuser_api.access.tokens import Caller
from diffuser_api.models import Client, Job, LoraModel

CLIENT, COOKIE = "studio visitors", "studio"
SECONDS = 400 * 24 * 3600  # as long as browsers keep a cookie
# Nothing from other sites and no script inline; blob: is a photo that is shown before it is sent, data: a
# card that is shown as it is typed.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' blob: data:; "
    f"connect-src 'self'; {security_headers.NEVER}"
)
MOST_CODES = 10  # entered in one browser
LETTERS = 8  # of 5 bits each
_TICKET = re.compile(rf"(\d{{8}})([A-Z2-7]{{{LETTERS}}})?")


@dataclass(frozen=True)
class Visitor:
    """``codes``: LoRAs of other browsers that were let in here."""

    caller: Caller
    codes: tuple[str, ...] = ()

    @property
    def form_key(self) -> str:
        """A new one for each form; see ``once``."""
        return secrets.token_urlsafe(16)

    def jobs(self) -> QuerySet[Job]:
        return Job.objects.visible_to(self.caller)

    def loras(self) -> QuerySet[LoraModel]:
        mine = Q(client=self.caller.client, visitor=self.caller.visitor)
        return LoraModel.objects.filter(mine | Q(code__in=self.codes))


def why_closed(request) -> str:
    """Why this request finds no studio; empty if it does."""
    if settings.STUDIO:
        return ""
    if not settings.OPEN_API:
        return "STUDIO is off"
    return tokens.why_not_open(request)


def welcome(view):
    """For every page of the studio: sets ``request.visitor``, or says that there is no studio here."""

    @functools.wraps(view)
    def answer(request, *args, **kwargs):
        client = None if why_closed(request) else Client.objects.get_or_create(name=CLIENT)[0]
        if client is None or not client.is_active:
            home = request.path_info in ("", "/")
            return render(request, "studio/closed.html", status=200 if home else 404)
        before = _read(request, client)
        request.visitor = before or _new_visitor(request, client)
        response = view(request, *args, **kwargs)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        response.headers.setdefault("Cache-Control", "no-store")  # pages speak of one person
        if request.visitor != before:
            _write(response, request.visitor)
        return response

    answer.is_for_visitors = True
    return answer


def _new_visitor(request, client: Client) -> Visitor:
    return Visitor(Caller(client, secrets.token_urlsafe(16), address_of(request)))


def leave(request) -> None:
    """Whoever comes next at this browser is somebody else."""
    request.visitor = _new_visitor(request, request.visitor.caller.client)


def forgotten(response):
    """The answer, after which the browser keeps no picture that it has shown."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _read(request, client: Client) -> Visitor | None:
    try:
        visitor, *codes = request.get_signed_cookie(COOKIE, salt=COOKIE, max_age=SECONDS).split()
    except (KeyError, ValueError, signing.BadSignature):
        return None
    return Visitor(Caller(client, visitor, address_of(request)), tuple(codes))


def _write(response, visitor: Visitor) -> None:
    response.set_signed_cookie(
        COOKIE,
        " ".join((visitor.caller.visitor, *visitor.codes)),
        salt=COOKIE,
        max_age=SECONDS,
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


# --- codes that are typed in --------------------------------------------------------------------------------


def letters_of(code: str) -> str:
    """What makes a LoRA's code a key: letters that follow from it and SECRET_KEY."""
    digest = salted_hmac("studio.visitors", code, algorithm="sha256").digest()
    return base64.b32encode(digest).decode()[:LETTERS]


def ticket_of(code: str) -> str:
    letters = letters_of(code)
    return f"{code[:4]} {code[4:]} {letters[:4]} {letters[4:]}"


def let_in(request, typed: str) -> LoraModel | None:
    """The LoRA of a typed code, None for a wrong one. Of the visitor's own LoRAs the digits are enough; any
    other one needs its letters too."""
    found = _TICKET.fullmatch(re.sub(r"[\s\-.–]", "", typed.upper()))
    if not found:
        return None
    code, letters = found[1], found[2] or ""
    if mine := request.visitor.loras().filter(code=code).first():
        return mine
    if not secrets.compare_digest(letters, letters_of(code)):
        return None
    if lora := LoraModel.objects.filter(code=code).first():
        codes = (*request.visitor.codes, code)[-MOST_CODES:]
        request.visitor = replace(request.visitor, codes=codes)
        return lora
    return None
