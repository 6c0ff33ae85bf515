"""The page of a shared picture: for everybody who has its address, and for no search engine."""

from __future__ import annotations

import functools

from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diffuser_api.models import Job
from diffuser_api.photos.pictures import as_jpeg, open_stored
from studio import sharing, visitors

PREVIEW_SIDE = 1200  # pixels, as messengers want them
HEADERS = {
    "Cache-Control": "private, no-store",  # gone when the visitor ends it
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    "Referrer-Policy": "no-referrer",  # the address is a key
    "Content-Security-Policy": visitors.CONTENT_SECURITY_POLICY,
}


@visitors.welcome
@require_POST
def begin(request, code):
    """Shares a picture for some days, or ends it."""
    mine = request.visitor.jobs().filter(kind=Job.Kind.GENERATION, status=Job.Status.SUCCEEDED)
    job = get_object_or_404(mine, code=code)
    days = request.POST.get("days", "")
    sharing.share(job, int(days) if days.isdecimal() and len(days) < 5 else 0)
    return redirect("studio:job", code)


def _shared(view):
    @functools.wraps(view)
    def answer(request, token):
        job = sharing.find(token)
        try:
            response = view(request, job, token) if job else None
        except OSError:
            response = None
        if response is None:
            response = render(request, "studio/shared_no_more.html", status=404)
        for name, value in HEADERS.items():
            response.headers[name] = value
        return response

    return require_safe(answer)


@_shared
def page(request, job, token):
    picture = open_stored(job.output)
    context = {"job": job, "token": token, "width": picture.width, "height": picture.height}
    context["url"] = sharing.url_of(job, request)
    return render(request, "studio/shared.html", context)


@_shared
def picture(request, job, token):
    """The file; with ``?download``, to keep."""
    name = f"cartolina-{job.code}.png"
    return FileResponse(job.output.open("rb"), as_attachment="download" in request.GET, filename=name)


@_shared
def small(request, job, token):
    """What a messenger shows beside the address."""
    shown = open_stored(job.output)
    shown.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    return HttpResponse(as_jpeg(shown), content_type="image/jpeg")
