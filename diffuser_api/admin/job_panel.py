"""The upper part of a job's page: its progress, the seconds of each step, and each step's picture."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diffuser_api.admin import once
from diffuser_api.admin.words import STEP_NAMES
from diffuser_api.jobs import queue, working_files
from diffuser_api.models import Job

# Of a step's seconds, in their order; a training's step has one more.
PART_NAMES = {"import": _("import"), "load": _("load"), "work": _("work")}
PARTS = {"import": ("import",), "load": ("load",), "work": ("inference", "train")}
WIDTH, LEFT, RIGHT, ROW = 640, 100, 60, 26  # of the chart, in its own units


def _called(step: str) -> str:
    return str(STEP_NAMES.get(step, step))


def context(job: Job, request) -> dict:
    """For the template desk/job_panel.html."""
    outlook = queue.look()
    eta = None if job.is_finished else outlook.eta_seconds(job)
    may_change = request.user.has_perm("diffuser_api.change_job")
    return {
        "job": job,
        "percent": round(100 * job.progress),
        "live": not job.is_finished,
        "step": _called(job.step),
        "position": outlook.position(job),
        "eta": eta,
        "minutes": round((eta or 0) / 60),
        "chart": chart(job.timings),
        "pictures": step_pictures(job),
        "output": bool(job.output),
        "can_cancel": may_change and not job.is_finished,
        **once.new(),
        "can_run_again": may_change and job.is_finished and job.kind == Job.Kind.GENERATION,
    }


def step_pictures(job: Job) -> list[dict]:
    """The steps' pictures, while the job runs. Without STORAGE_URL, only on the worker's machine."""
    if job.kind != Job.Kind.GENERATION:
        return []
    return [
        {
            "name": _called(job.steps[index - 1]) if index else gettext("the place"),
            "url": reverse("admin:diffuser_api_job_step", args=[job.pk, index]),
        }
        for index in working_files.pictures(job)
    ]


def chart(timings: list[dict]) -> dict | None:
    """Bars of seconds, a row for each step; None if nothing was measured."""
    rows = []
    for timing in timings:
        seconds = [sum(float(timing.get(f"{name}_seconds") or 0) for name in part) for part in PARTS.values()]
        if sum(seconds):
            rows.append((_called(str(timing.get("step", ""))), seconds))
    if not rows:
        return None
    longest, space = max(sum(seconds) for _, seconds in rows), WIDTH - LEFT - RIGHT
    drawn = []
    for k, (name, seconds) in enumerate(rows):
        x, bars = float(LEFT), []
        for part, value in zip(PARTS, seconds, strict=True):
            width = round(value / longest * space, 1)
            bars.append(
                {"part": part, "name": PART_NAMES[part], "seconds": value, "x": round(x, 1), "width": width}
            )
            x += width
        total = sum(seconds)
        drawn.append(
            {"name": name, "total": total, "bars": bars, "y": k * ROW, "text_y": k * ROW + 17, "end": x + 6}
        )
    total = sum(row["total"] for row in drawn)
    return {"rows": drawn, "parts": PART_NAMES, "width": WIDTH, "height": len(drawn) * ROW, "total": total}
