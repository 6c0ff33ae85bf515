"""The page of a shared picture: for everybody who has its address, and for no search engine."""

from __future__ import annotations

import functools

from django.db import IntegrityError, transaction
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from diffuser_api import audit
from diffuser_api.access import throttles
from diffuser_api.access.addresses import address_of
from diffuser_api.api.digits import are_whole
from diffuser_api.models import Job, Report
from diffuser_api.photos.pictures import size_of
from studio import sharing, visitors

REPORT_RATE = (10, 3600)  # of one address
MOST_REPORTS = 20  # that are kept about one picture
HEADERS = {
    "Cache-Control": "private, no-store",  # gone when the visitor ends it
    "X-Robots-Tag": "noindex, nofollow, noarchive",
    # The address is a key: other sites don't learn it. With "no-referrer", browsers would call the origin of
    # the forms on these pages "null", and the CSRF check would refuse them.
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": visitors.CONTENT_SECURITY_POLICY,
}


@visitors.welcome
@require_POST
def begin(request, code):
    """Shares a picture for some days, or ends it."""
    mine = request.visitor.jobs().filter(kind=Job.Kind.GENERATION, status=Job.Status.SUCCEEDED)
    job = get_object_or_404(mine, code=code)
    days = request.POST.get("days", "")
    sharing.share(job, int(days) if are_whole(days) and len(days) < 5 else 0)
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

    return answer


@require_safe
@_shared
def page(request, job, token):
    width, height = size_of(job.output)
    context = {"job": job, "token": token, "width": width, "height": height}
    context["url"] = sharing.url_of(job, request)
    return render(request, "studio/shared.html", context)


@require_safe
@_shared
def picture(request, job, token):
    """The file; with ``?download``, to keep."""
    name = f"cartolina-{job.code}.png"
    return FileResponse(job.output.open("rb"), as_attachment="download" in request.GET, filename=name)


@require_safe
@_shared
def small(request, job, token):
    """What a messenger shows beside the address."""
    return HttpResponse(sharing.small(job), content_type="image/jpeg")


@require_http_methods(["GET", "HEAD", "POST"])
@_shared
def report(request, job, token):
    """Everybody who sees the picture may say that it should not be shown. No account is needed."""
    reason, words = request.POST.get("reason", ""), request.POST.get("words", "").replace("\0", "").strip()
    context = {"token": token, "reasons": Report.Reason.choices, "reason": reason, "words": words}
    context["most"] = Report.WORDS_LENGTH
    if request.method != "POST":
        return render(request, "studio/report.html", context)
    if reason not in Report.Reason.values:
        problem, status = gettext("Choose a reason."), 400
    elif len(words) > Report.WORDS_LENGTH:
        problem, status = gettext("That is too long; 500 characters are the most."), 400
    elif throttles.take(f"reports of {address_of(request)}", REPORT_RATE):
        problem, status = gettext("Many reports came from your network just now. Try again in an hour."), 429
    else:
        try:
            _keep_report(job, reason, words)
        except IntegrityError:  # the picture was deleted in this moment
            return None
        return render(request, "studio/report.html", context | {"thanks": True})
    return render(request, "studio/report.html", context | {"problem": problem}, status=status)


def _keep_report(job: Job, reason: str, words: str) -> None:
    """The operator needs no more than the first of many."""
    with transaction.atomic():
        if job.reports.count() < MOST_REPORTS:
            Report.objects.create(job=job, reason=reason, words=words)
            audit.write(audit.Event.REPORTED, job, audit.ANYBODY, reason)
