"""The welcome, the gallery of one's own pictures, and leaving this browser to the next visitor."""

from collections import defaultdict

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from diffuser_api import audit
from diffuser_api.api.digits import Pages
from diffuser_api.jobs import deletion
from diffuser_api.jobs.status_changes import UNFINISHED
from diffuser_api.models import Job
from generation.models.profiles import get_profile
from studio import visitors

ON_A_PAGE = 24


def _pictures(request):
    return (
        request.visitor.jobs()
        .filter(kind=Job.Kind.GENERATION)
        .exclude(group=Job.NOT_CHOSEN)
        .select_related("poi_image__poi", "action_image__action")
    )


def _wishes(pictures: QuerySet[Job]) -> QuerySet[Job]:
    """Of candidates for one picture, the first alone: they have one card together."""
    earlier = pictures.filter(group=OuterRef("group"), pk__lt=OuterRef("pk"))
    return pictures.filter(Q(group="") | ~Exists(earlier))


def _cards(request, wishes) -> list[dict]:
    """Each picture with its ``candidates``, none for a picture that is alone."""
    together = defaultdict(list)
    for job in _pictures(request).filter(group__in={job.group for job in wishes if job.group}).order_by("pk"):
        together[job.group].append(job)
    cards = [{"job": job, "candidates": together.get(job.group, [])} for job in wishes]
    return [card if len(card["candidates"]) > 1 else card | {"candidates": []} for card in cards]


@visitors.welcome
@require_safe
def home(request):
    done = _wishes(_pictures(request).filter(status=Job.Status.SUCCEEDED))
    context = {"drawn": get_profile().is_drawn, "lora": request.visitor.loras().first()}
    trainings = request.visitor.jobs().filter(kind=Job.Kind.TRAINING)
    context["training"] = trainings.filter(status__in=UNFINISHED).first()
    return render(request, "studio/home.html", context | {"cards": _cards(request, done[:4])})


@visitors.welcome
@require_safe
def gallery(request):
    page = Pages(_wishes(_pictures(request)), ON_A_PAGE).get_page(request.GET.get("page"))
    cards = _cards(request, page)
    shown = [job for card in cards for job in (card["job"], *card["candidates"])]
    context = {"page": page, "cards": cards, "unfinished": any(not job.is_finished for job in shown)}
    return render(request, f"studio/{'_gallery' if request.htmx else 'gallery'}.html", context)


@visitors.welcome
@require_http_methods(["GET", "HEAD", "POST"])
def leave(request):
    """A face that this browser has forgotten is out of its owner's reach: so erasing it is offered too."""
    mine = request.visitor.jobs()
    if request.method != "POST":
        faces = request.visitor.loras().exists()
        return render(request, "studio/leave.html", {"faces": faces, "pictures": mine.exists()})
    erase = "erase" in request.POST
    if erase:
        owner = request.visitor.caller
        by = audit.client(owner.client)
        deletion.delete_visitor(owner.client, owner.visitor, request.visitor.loras(), by)
    visitors.leave(request)
    return visitors.forgotten(redirect(f"{reverse('studio:leave')}?{'erased' if erase else 'forgotten'}"))
