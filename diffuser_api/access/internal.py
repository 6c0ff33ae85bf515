"""The service's own calls: health checks, and a finished training on its way from post-back.py.

They come from the same machine or container network, without TLS and under a name that no visitor uses. So
the rules about hosts and https don't apply to them. Strangers gain nothing by these addresses: health checks
give everybody the same answer, and a delivery is taken only with the token of one running training.
"""

from __future__ import annotations

import re

HEALTH = ("/healthz", "/readyz")
DELIVERY = "/api/lora-training/{code}/complete/"
PATHS = [*map(re.escape, HEALTH), DELIVERY.format(code="[0-9]{8}")]
_INTERNAL = re.compile("|".join(PATHS))
HOST = "internal"


def without_tls(script_name: str | None) -> list[str]:
    """As Django's SECURE_REDIRECT_EXEMPT wants them: whole paths without the first slash."""
    return [rf"^{(re.escape(script_name or '') + path).removeprefix('/')}\Z" for path in PATHS]


def is_internal(path: str) -> bool:
    return bool(_INTERNAL.fullmatch(path))


def internal_middleware(get_response):
    """Comes first: the host that such a request names is neither judged nor used in an answer."""

    def answer(request):
        if is_internal(request.path_info):
            request.get_host = lambda: HOST
        return get_response(request)

    return answer
