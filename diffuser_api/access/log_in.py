"""Limits on log-in attempts at the admin: for a name from one IP address, for an IP address, and for a name.

``throttles`` counts the attempts. The library django-axes reads its counter first and writes it later, so
that guesses at the same moment pass. It also stores IP addresses and typed names.
"""

from __future__ import annotations

import math
from datetime import timedelta

from django import forms
from django.contrib.admin.forms import AdminAuthenticationForm
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext, ngettext

from diffuser_api.access import throttles
from diffuser_api.access.addresses import address_of

NAME_FROM_ADDRESS = (8, 900)  # attempts, seconds
ADDRESS = (30, 900)
NAME = (200, 3600)  # from all addresses; a high limit, because it also keeps out the account's owner


class LogInForm(AdminAuthenticationForm):
    wait = 0.0  # seconds until the next attempt is looked at

    def clean(self):
        address, name = address_of(self.request), self.cleaned_data.get("username", "")
        name = _mark_of(name.strip().casefold())
        pair = f"log-in of {name} from {address}"
        limits = {pair: NAME_FROM_ADDRESS, f"log-ins from {address}": ADDRESS, f"log-ins of {name}": NAME}
        self.wait = max(throttles.take(bucket, rate) for bucket, rate in limits.items())
        if self.wait:
            raise forms.ValidationError(_sentence(self.wait))
        values = super().clean()
        throttles.forget(pair)
        return values


def _mark_of(name: str) -> str:
    """A keyed hash of the typed name, because people also type their passwords there."""
    return salted_hmac("diffuser_api.access.log_in", name, algorithm="sha256").hexdigest()[:16]


def _sentence(wait: float) -> str:
    minutes = math.ceil(wait / 60)
    when = timezone.localtime(timezone.now() + timedelta(seconds=wait))
    span = ngettext("a minute", "{count} minutes", minutes).format(count=minutes)
    text = gettext(
        "There were too many attempts. Try again in {span}, after {when}. Until then, the right password "
        "isn't looked at, either."
    )
    return text.format(span=span, when=f"{when:%H:%M:%S} {when.tzname()}")


def limited(log_in):
    """Wraps the admin's view: an attempt beyond the limits is answered with 429 and Retry-After."""

    def answer(request, extra_context=None):
        response = log_in(request, extra_context)
        form = (getattr(response, "context_data", None) or {}).get("form")
        if wait := getattr(form, "wait", 0.0):
            response.status_code = 429
            response.headers["Retry-After"] = str(math.ceil(wait))
        return response

    return answer
