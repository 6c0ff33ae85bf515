"""The service's own calls: health checks, and the delivery of a finished training by post-back.py.

They come from the same machine or container network, without TLS and with a host name that no visitor uses.
So the rules about hosts and https don't apply to their paths. Strangers gain nothing by that: health checks
give everybody the same answer, and a delivery needs the token of a running training.
"""

from __future__ import annotations

import re

HEALTH = ("/healthz", "/readyz")
DELIVERY = "/api/lora-training/{code}/complete/"
PATHS = [*map(re.escape, HEALTH), DELIVERY.format(code="[0-9]{8}")]
_INTERNAL = re.compile("|".join(PATHS))
HOST = "internal"


def without_tls(script_name: str | None) -> list[str]:
    """The paths in the form of Django's SECURE_REDIRECT_EXEMPT: patterns without the first slash."""
    return [rf"^{(re.escape(script_name or '') + path).removeprefix('/')}\Z" for path in PATHS]


def is_internal(path: str) -> bool:
    return bool(_INTERNAL.fullmatch(path))


def internal_middleware(get_response):
    """Gives internal calls the host name HOST, so that the name they were sent with is not checked against
    ALLOWED_HOSTS and appears in no answer. Comes before all middleware that asks for the host."""

    def answer(request):
        if is_internal(request.path_info):
            request.get_host = lambda: HOST
        return get_response(request)

    return answer
