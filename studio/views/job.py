"""A job's page: a picture or a training, from the queue to its end. The page asks for its middle again and
again; what hasn't changed is answered with nothing."""

import hashlib
from dataclasses import replace
from pathlib import Path

from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from diffuser_api.api import idempotency
from diffuser_api.api.serializers import JobSerializer
from diffuser_api.jobs import folders, orders, queue, retention, status_changes
from diffuser_api.models import Job
from generation.job_folder import PREVIEW, newest_index
from studio import clothes, forms, once, sentences, sharing, visitors

RUNNING_MS, WAITING_MS = 500, 1500  # between two looks


def _job(request, code: str) -> Job:
    jobs = request.visitor.jobs().select_related("poi_image__poi", "action_image__action", "lora")
    return get_object_or_404(jobs, code=code)


@visitors.welcome
@require_safe
def job(request, code):
    try:
        job = _job(request, code)
    except Http404:
        if request.htmx:  # erased in another tab
            return render(request, "studio/_gone.html")
        raise
    context = _context(request, job)
    if not request.htmx:
        return render(request, "studio/job.html", context)
    if request.GET.get("seen") == context["version"]:
        return HttpResponse(status=204)
    return render(request, "studio/_job.html", context)


def _context(request, job: Job) -> dict:
    """``version`` changes with everything that the page shows."""
    told = JobSerializer(job, context={"request": request}).data
    picture = job.kind == Job.Kind.GENERATION
    folder = folders.generation_folder(job.code)
    newest = None if job.is_finished or not picture else newest_index(folder)
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
        "steps": sentences.steps(job, newest),
        "newest": newest,
        "preview": _preview(folder) if newest == 0 else "",
        "samples": [] if picture else [path.name for path in samples_of(job)],
        "ticket": visitors.ticket_of(job.code) if job.kind == Job.Kind.TRAINING else "",
        "share": sharing.told(job, request) if picture and job.status == Job.Status.SUCCEEDED else {},
        "every": RUNNING_MS if job.status == Job.Status.RUNNING and picture else WAITING_MS,
        "kept_until": retention.picture_kept_until(job) if picture else None,
    }
    shown = [str(context[name]) for name in ("percent", "state", "estimate", "newest", "preview", "samples")]
    context["version"] = hashlib.sha256("\n".join([job.status, job.step, *shown]).encode()).hexdigest()[:12]
    return context


def _preview(folder: Path) -> str:
    """Another text for each preview; empty while there is none."""
    try:
        return str((folder / PREVIEW).stat().st_mtime_ns)
    except OSError:
        return ""


def samples_of(job: Job) -> list[Path]:
    """What a training has painted on its way, the newest first."""
    folder = folders.training_output(job.code) / "sample"
    return sorted(folder.glob("*.png"), reverse=True)[:4]


@visitors.welcome
@require_POST
def cancel(request, code):
    status_changes.cancel(_job(request, code).code)
    return redirect("studio:job", code)


@visitors.welcome
@require_POST
def again(request, code):
    """The same picture with other noise."""
    asked, key = _job(request, code), once.key_of_form(request)
    if job := idempotency.find_job(key):
        return redirect("studio:job", job.code)
    try:
        order = orders.order_again(asked, seed=None)
        address = request.visitor.caller.address
        order = replace(order, idempotency_key=key, address=address, at_once=forms.JOBS_AT_ONCE)
        new = idempotency.create_job(order)
    except orders.CantRunAgain as error:
        raise Http404(gettext("The place or the figure isn't there any more.")) from error
    except queue.VisitorBusy:
        return redirect("studio:gallery")
    except orders.REFUSALS:
        return redirect("studio:job", code)
    return redirect("studio:job", new.code)


@visitors.welcome
@require_POST
def delete(request, code):
    deleted = _job(request, code)
    retention.delete(deleted.code)
    page = "studio:gallery" if deleted.kind == Job.Kind.GENERATION else "studio:you"
    return visitors.forgotten(redirect(page))
