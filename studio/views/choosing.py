"""What a visitor can do about a picture that isn't quite right: paint it anew, paint its face again, or have
three painted and keep one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace

from django.http import HttpResponse
from django.shortcuts import get_list_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from diffuser_api.api.job_serializer import JobSerializer
from diffuser_api.jobs import choosing, orders, working_files
from diffuser_api.models import Job
from studio import forms, once, sentences, visitors
from studio.views.job import job_of, page

LOOK_MS = 1000  # between two looks


def wanted(request) -> int:
    """How many candidates a form asks for: one, or all that can be had."""
    return choosing.MOST if "candidates" in request.POST else 1


def page_of(job: Job) -> str:
    """Where a picture is waited for."""
    name, code = ("candidates", job.group) if job.group else ("job", job.code)
    return reverse(f"studio:{name}", args=[code])


# --- once more ----------------------------------------------------------------------------------------------


@visitors.welcome
@require_POST
def again(request, code):
    """The same picture with other noise, or three of it."""
    gone = gettext("The place or the figure isn't there any more.")
    return _new_picture(request, code, lambda job: orders.order_again(job, seed=None), gone)


@visitors.welcome
@require_POST
def face(request, code):
    """The same picture with another face."""
    return _new_picture(request, code, choosing.face_order, str(sentences.NO_FACE_AGAIN))


def _new_picture(request, code: str, order_of: Callable[[Job], orders.GenerationOrder], gone: str):
    """``gone``: the sentence for what can't be painted again."""
    asked, key = job_of(request, code), once.key_of_form(request)
    if job := orders.find_job(key):
        return redirect(page_of(job))
    try:
        order = replace(order_of(asked), idempotency_key=key, candidates=wanted(request))
        mine = {"address": request.visitor.caller.address, "at_once": forms.JOBS_AT_ONCE}
        return redirect(page_of(orders.create_job(replace(order, **mine))))
    except orders.CantRunAgain:
        return page(request, asked, gone, status=409)
    except orders.REFUSALS as error:
        return page(request, asked, sentences.not_taken(error), status=409)


# --- one of three -------------------------------------------------------------------------------------------


@visitors.welcome
@require_safe
def candidates(request, group):
    pictures = request.visitor.jobs().filter(kind=Job.Kind.GENERATION, group=group).order_by("pk")
    jobs = list(pictures.select_related("poi_image__poi"))
    if not jobs:
        return render(request, "studio/_gone.html") if request.htmx else redirect("studio:gallery")
    return _choice(request, jobs)


def _choice(request, jobs: list[Job], problem: str = "", status: int = 200):
    shared = {"request": request}
    cards = [_candidate(job, JobSerializer(job, context=shared).data) for job in jobs]
    shown = [str([card["job"].status, *card.values()]) for card in cards]
    context = {
        "group": jobs[0].group,
        "cards": cards,
        "unfinished": any(not job.is_finished for job in jobs),
        "version": hashlib.sha256("\n".join(shown).encode()).hexdigest()[:12],
        "every": LOOK_MS,
        "said": "; ".join(f"{card['number']}: {card['state']}" for card in cards),
        "problem": problem,
    }
    if not request.htmx:
        return render(request, "studio/choose.html", context, status=status)
    if request.GET.get("seen") == context["version"]:
        return HttpResponse(status=204)
    return render(request, "studio/_choose.html", context)


def _candidate(job: Job, told: dict) -> dict:
    newest = None if job.is_finished else working_files.newest(job)
    return {
        "job": job,
        "number": told["candidates"].index(job.code) + 1 if job.code in told["candidates"] else 1,
        "state": sentences.state(job, told["position"]),
        "percent": round(100 * job.progress),
        "newest": newest,
        "preview": working_files.preview(job) if newest == 0 else "",
        "likeness": told["likeness"],
        "error": sentences.error(job),
    }


@visitors.welcome
@require_POST
def keep(request, code):
    job = job_of(request, code)
    try:
        choosing.keep(job)
    except choosing.CantKeep:
        problem = gettext("This picture can't be kept: it isn't finished, or another one was chosen.")
        jobs = get_list_or_404(request.visitor.jobs().order_by("pk"), group=job.group)
        return _choice(request, jobs, problem, status=409)
    return visitors.forgotten(redirect("studio:job", code))
