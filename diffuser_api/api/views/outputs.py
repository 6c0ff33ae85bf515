"""Finished pictures, for callers that may see them."""

from __future__ import annotations

from django.conf import settings
from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_safe
from rest_framework.exceptions import APIException

from diffuser_api.access import tokens
from diffuser_api.models import Job


def _is_public(request, code: str) -> bool:
    """Whether everybody may fetch this picture, and every site may show it."""
    return settings.OUTPUT_URLS == "plain" or tokens.signature_is_good(code, request.GET.get("sig", ""))


def _pictures_of(request, pictures):
    """The rows of ``pictures`` that this caller may fetch although they aren't public."""
    if request.user.is_staff and request.user.has_perm("diffuser_api.view_job"):
        return pictures
    try:
        return pictures.visible_to(tokens.caller_of(request))
    except APIException:
        return pictures.none()


PNG = "image/png"


@require_safe
def output(request, code):
    """The finished picture. 404 if it isn't finished yet, or if the caller may not see it."""
    pictures = Job.objects.filter(status=Job.Status.SUCCEEDED, kind=Job.Kind.GENERATION)
    is_public = _is_public(request, code)
    job = get_object_or_404(pictures if is_public else _pictures_of(request, pictures), code=code)
    # A browser that several people use keeps no face.
    headers = {"Cache-Control": "private, no-store"}
    if is_public:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if settings.OUTPUT_SERVER and not request.user.is_staff:  # the admin's pages load nothing from elsewhere
        url = default_storage.presigned_url(job.output.name, request.method, PNG)
        return HttpResponseRedirect(url, headers=headers)
    try:
        return FileResponse(job.output.open("rb"), content_type=PNG, headers=headers)
    except (OSError, ValueError) as error:
        raise Http404 from error
