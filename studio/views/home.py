"""The welcome, the gallery of one's own pictures, and leaving this browser to the next visitor."""

from django.core.paginator import Paginator
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from diffuser_api import audit
from diffuser_api.jobs import retention
from diffuser_api.jobs.status_changes import UNFINISHED
from diffuser_api.models import Job, PoiImage
from studio import visitors

ON_A_PAGE = 24


def _pictures(request):
    return (
        request.visitor.jobs()
        .filter(kind=Job.Kind.GENERATION)
        .select_related("poi_image__poi", "action_image__action")
    )


@visitors.welcome
@require_safe
def home(request):
    places = {}
    for image in PoiImage.objects.select_related("poi").order_by("pk"):
        places.setdefault(image.poi_id, image)
    done = _pictures(request).filter(status=Job.Status.SUCCEEDED)
    context = {"places": list(places.values())[:3], "lora": request.visitor.loras().first()}
    trainings = request.visitor.jobs().filter(kind=Job.Kind.TRAINING)
    context["training"] = trainings.filter(status__in=UNFINISHED).first()
    return render(request, "studio/home.html", context | {"pictures": done[:4]})


@visitors.welcome
@require_safe
def gallery(request):
    page = Paginator(_pictures(request), ON_A_PAGE).get_page(request.GET.get("page"))
    context = {"page": page, "unfinished": any(not job.is_finished for job in page)}
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
        owner = request.visitor.caller.client
        retention.delete_all(mine, request.visitor.loras(), audit.client(owner))
    visitors.leave(request)
    return visitors.forgotten(redirect(f"{reverse('studio:leave')}?{'erased' if erase else 'forgotten'}"))
