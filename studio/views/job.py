"""A job's page: a picture or a training, from the queue to its end. The page asks for its middle again and
again; what hasn't changed is answered with nothing."""

import hashlib

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from diffuser_api import audit
from diffuser_api.api.job_serializer import JobSerializer
from diffuser_api.jobs import deletion, status_changes, working_files
from diffuser_api.models import Job
from studio import clothes, sentences, sharing, visitors

RUNNING_MS, WAITING_MS = 500, 1500  # between two looks
SHOWN = ("percent", "state", "estimate", "newest", "preview", "samples", "candidates")  # and changes


def job_of(request, code: str) -> Job:
    jobs = request.visitor.jobs().select_related("poi_image__poi", "action_image__action", "lora")
    return get_object_or_404(jobs, code=code)


@visitors.welcome
@require_safe
def job(request, code):
    try:
        job = job_of(request, code)
    except Http404:
        if request.htmx:  # erased in another tab
            return render(request, "studio/_gone.html")
        raise
    if not request.htmx:
        return page(request, job)
    context = _context(request, job)
    if request.GET.get("seen") == context["version"]:
        return HttpResponse(status=204)
    return render(request, "studio/_job.html", context)


def page(request, job: Job, problem: str = "", status: int = 200) -> HttpResponse:
    """The whole page; ``problem`` says why something that was asked for on it isn't done."""
    context = _context(request, job) | {"problem": problem}
    return render(request, "studio/job.html", context, status=status)


def _context(request, job: Job) -> dict:
    """``version`` changes with everything that the page shows."""
    told = JobSerializer(job, context={"request": request}).data
    picture = job.kind == Job.Kind.GENERATION
    newest = None if job.is_finished or not picture else working_files.newest(job)
    context = {
        "job": job,
        "picture": picture,
        "percent": round(100 * job.progress),
        "position": told["position"],
        "estimate": sentences.estimate(told["eta_seconds"], training=not picture),
        "state": sentences.state(job, told["position"]),
        "error": sentences.error(job),
        "wearing": clothes.shown(job.parameters.get("other_details", "")),
        "left_out": ", ".join(told["left_out"].values()),
        "likeness": told["likeness"],
        "can_paint_face": told["can_paint_face_again"],
        "no_face_again": sentences.NO_FACE_AGAIN if "face" in job.steps else "",
        "candidates": told["candidates"],
        "steps": sentences.steps(job, newest),
        "newest": newest,
        "preview": working_files.preview(job) if newest == 0 else "",
        "samples": [] if picture else working_files.samples(job),
        "ticket": visitors.ticket_of(job.code) if job.kind == Job.Kind.TRAINING else "",
        "share": sharing.told(job, request) if picture and job.status == Job.Status.SUCCEEDED else {},
        "every": RUNNING_MS if job.status == Job.Status.RUNNING and picture else WAITING_MS,
        "kept_until": deletion.picture_kept_until(job) if picture else None,
    }
    shown = [str(context[name]) for name in SHOWN]
    context["version"] = hashlib.sha256("\n".join([job.status, job.step, *shown]).encode()).hexdigest()[:12]
    return context


@visitors.welcome
@require_POST
def cancel(request, code):
    status_changes.cancel(job_of(request, code).code)
    return redirect("studio:job", code)


@visitors.welcome
@require_POST
def delete(request, code):
    deleted = job_of(request, code)
    deletion.delete(deleted.code, audit.client(deleted.client))
    page = "studio:gallery" if deleted.kind == Job.Kind.GENERATION else "studio:you"
    return visitors.forgotten(redirect(page))
