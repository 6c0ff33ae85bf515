"""Sentences about a job, in the page's language."""

from __future__ import annotations

from django.utils.translation import gettext, gettext_lazy, ngettext

from diffuser_api import wording
from diffuser_api.access import throttles
from diffuser_api.catalogue import fitting
from diffuser_api.jobs import queue
from diffuser_api.models import Job

_STEPS = {
    "pose": gettext_lazy("Sketching the figure"),
    "detail": gettext_lazy("Adding detail"),
    "harmonize": gettext_lazy("Settling into the light"),
    "face": gettext_lazy("Painting the face"),
    "train": gettext_lazy("Learning the face"),
}
_ERRORS = {
    "unusable_files": gettext_lazy(
        "The place or the figure can't be used any more. Choose another one; if it goes on, tell the staff."
    ),
    "picture_refused": gettext_lazy(
        "Our safety check took this picture for one that should not be shown. Ask again, perhaps in other "
        "words."
    ),
    "training_failed": gettext_lazy("The photos couldn't be learned from. Send them once more, or others."),
}
_SOFTNESS = {  # of a picture with fewer dots on an inch of a printed card
    100: gettext_lazy("In print it will look blurred, as a small picture does that was much enlarged."),
    200: gettext_lazy("In print it will look soft: fine lines are blurred."),
    300: gettext_lazy("In print it will look a little soft."),
}
NO_FACE_AGAIN = gettext_lazy(
    "The face alone can't be painted again any more: what was painted before it is gone, or the place or the "
    "figure has changed. Have the whole picture painted anew."
)
_OTHER_ERROR = gettext_lazy("Something went wrong on our side. Ask once more; if it goes on, tell the staff.")


def softness(dpi: int) -> str:
    """How a picture with so many dots on an inch looks in print; empty where it is sharp."""
    return str(next((text for limit, text in _SOFTNESS.items() if dpi < limit), ""))


def state(job: Job, position: int | None) -> str:
    """One line, also read out: what is going on."""
    if job.status == Job.Status.QUEUED and position:
        text = ngettext(
            "%(count)s picture or face comes before yours.",
            "%(count)s pictures or faces come before yours.",
            position,
        )
        return text % {"count": position}
    if job.status == Job.Status.QUEUED:
        return gettext("You are next.")
    if job.status == Job.Status.RUNNING and any(timing.get("likeness") for timing in job.timings):
        return gettext("The face didn't come out well: it is painted once more.")
    if job.status == Job.Status.RUNNING and job.kind == Job.Kind.TRAINING and not job.progress:
        return gettext("Getting the photos ready")
    if job.status == Job.Status.RUNNING:
        return str(_STEPS.get(job.step or job.steps[0], ""))
    training = job.kind == Job.Kind.TRAINING
    return {
        Job.Status.SUCCEEDED: gettext("Your face is ready.")
        if training
        else gettext("Your picture is ready."),
        Job.Status.FAILED: gettext("This didn't work."),
        Job.Status.CANCELLED: gettext("Cancelled."),
    }[job.status]


def estimate(seconds: int | None, training: bool = False) -> str:
    """Rounded, so that it doesn't jump about. Of the first training of a server nobody knows more."""
    if seconds is None and training:
        return gettext("It takes a few minutes.")
    if not seconds:
        return ""
    if seconds < 60:
        tens = max(5, 5 * round(seconds / 5))
        return gettext("about %(seconds)s seconds to go") % {"seconds": tens}
    minutes = round(seconds / 60)
    text = ngettext("about a minute to go", "about %(minutes)s minutes to go", minutes)
    return text % {"minutes": minutes}


def error(job: Job) -> str:
    return str(_ERRORS.get(job.error_code, _OTHER_ERROR)) if job.status == Job.Status.FAILED else ""


def not_taken(error: Exception) -> str:
    """Why there is no job, of orders.REFUSALS."""
    if isinstance(error, queue.VisitorBusy):
        return gettext("Your other pictures are still being made. Wait for one of them.")
    if isinstance(error, queue.QueueFull | throttles.TooMuchWork):
        return gettext("Very many are waiting just now. Try again in a minute.")
    if isinstance(error, fitting.TooSmall):
        return gettext("There is no figure for this from here. Choose another distance.")
    if isinstance(error, wording.WordsRefused):
        return str(error)
    return str(_OTHER_ERROR)


def steps(job: Job, newest: int | None) -> list[dict]:
    """Each step of this job with its number, its name, and whether its picture is there."""
    return [
        {"index": index, "name": _step(job, index, name), "done": newest is not None and index <= newest}
        for index, name in enumerate(job.steps, start=1)
        if index >= job.first
    ]


def _step(job: Job, index: int, name: str):
    """The second step of a kind says that it is one."""
    return (
        gettext("Adding more detail")
        if name == "detail" and name in job.steps[: index - 1]
        else _STEPS.get(name, name)
    )
