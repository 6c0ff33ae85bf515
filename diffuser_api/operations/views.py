"""URLs for machines that watch the service: alive, ready for work, numbers for Prometheus."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe

from diffuser_api.access import tokens
from diffuser_api.operations import health, metrics


@require_safe
def healthz(request):
    """The process answers."""
    return JsonResponse({"status": "ok"})


@require_safe
def readyz(request):
    """Whether jobs can be taken; if not, the part that prevents it gives the reason."""
    parts = health.parts()
    ready = all(state == "ok" for state in parts.values())
    return JsonResponse({"status": "ok" if ready else "not ready", **parts}, status=200 if ready else 503)


@require_safe
def metrics_page(request):
    """For Prometheus, with METRICS_TOKEN; 404 without one."""
    if not settings.METRICS_TOKEN or not tokens.carries(request, settings.METRICS_TOKEN):
        raise Http404
    return HttpResponse(metrics.text(), content_type="text/plain; version=0.0.4; charset=utf-8")
