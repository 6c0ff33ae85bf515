"""The page "You": five photos, each judged before it is sent, and the faces trained from them."""

from django.core.files.base import ContentFile
from django.http import Http404, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods, require_POST

from diffuser_api import audit
from diffuser_api.access import throttles
from diffuser_api.jobs import deletion, orders
from diffuser_api.jobs.orders import TrainingOrder
from diffuser_api.jobs.status_changes import UNFINISHED
from diffuser_api.models import Job
from diffuser_api.photos import consent, gate
from diffuser_api.photos.pictures import as_png
from generation.miniature import demo_content
from generation.models.profiles import get_profile
from studio import once, prints, sentences, visitors

PHOTOS = 5


@visitors.welcome
@require_http_methods(["GET", "HEAD", "POST"])
def photos(request):
    trainings = request.visitor.jobs().filter(kind=Job.Kind.TRAINING, status__in=UNFINISHED)
    running = trainings.first()
    if running is None and request.method == "POST":
        return _train(request)
    if request.method == "POST":  # sent twice
        return _go_to(request, reverse("studio:job", args=[running.code]))
    return _page(request, running=running)


def _page(request, status=200, **context):
    loras = [
        {
            "code": lora.code,
            "ticket": visitors.ticket_of(lora.code),
            "kept_until": deletion.lora_kept_until(lora),
        }
        for lora in request.visitor.loras()
    ]
    return render(
        request,
        "studio/you.html",
        {"loras": loras, "consent": consent, "drawn": get_profile().is_drawn, **context},
        status=status,
    )


def _consent(request) -> consent.Consent:
    """Raises NotGiven. Both boxes, and of the text of today: an old page shows another one."""
    given = consent.given(request.POST.get("consent_version", ""))
    if given is None or not request.POST.get("consent_person"):
        raise consent.NotGiven
    return given


@visitors.welcome
@require_POST
def examples(request):
    """Learns the drawn person that comes with the embedded models, for whoever wants to look first."""
    running = request.visitor.jobs().filter(kind=Job.Kind.TRAINING, status__in=UNFINISHED).first()
    if running is not None:
        return redirect("studio:job", running.code)
    if not get_profile().is_drawn:
        raise Http404
    drawn = demo_content.people()[0].photos
    files = [ContentFile(as_png(photo), name=f"{number}.png") for number, photo in enumerate(drawn, start=1)]
    return _learn(request, files, agreed=None)


def _train(request):
    try:
        agreed = _consent(request)
    except consent.NotGiven:
        message = gettext("Tick both boxes if you agree; without that, no photo is used.")
        return _refused(request, [{"index": 0, "message": message}])
    return _learn(request, request.FILES.getlist("images"), agreed)


def _learn(request, files: list, agreed: consent.Consent | None):
    """``agreed``: None for photos of nobody."""
    try:
        owner, key = request.visitor.caller, once.key_of_training(request.visitor)
        order = TrainingOrder(
            consent=agreed,
            client=owner.client,
            visitor=owner.visitor,
            address=owner.address,
            idempotency_key=key,
        )
        job, _ = orders.create_training(order, files)
    except gate.PhotosRefused as refused:
        reasons = refused.reasons
    except (throttles.TooMuchWork, *orders.REFUSALS) as error:
        reasons = [{"index": 0, "message": sentences.not_taken(error)}]
    else:
        return _go_to(request, reverse("studio:job", args=[job.code]))
    return _refused(request, reasons)


def _refused(request, reasons: list[dict]):
    if request.htmx:
        return render(request, "studio/_reasons.html", {"reasons": reasons})
    return _page(request, reasons=reasons, status=400)


def _go_to(request, url: str):
    return HttpResponse(headers={"HX-Redirect": url}) if request.htmx else redirect(url)


@visitors.welcome
@require_POST
def check(request):
    """Would this photo be taken? As JSON: the page shows it beside the photo. ``seen`` is for ``compare``."""
    if "image" not in request.FILES:
        return JsonResponse({"accepted": False, "findings": []}, status=400)
    try:
        accepted, findings, seen = gate.check_photo(request.FILES["image"], request.visitor.caller.address)
    except throttles.TooMuchWork as error:
        later = {"Retry-After": str(error.seconds)}
        return JsonResponse({"detail": sentences.not_taken(error)}, status=429, headers=later)
    return JsonResponse({"accepted": accepted, "findings": findings, "seen": prints.sealed(seen)})


@visitors.welcome
@require_POST
def compare(request):
    """Of photos that were looked at one by one: which is a copy of another, or shows another person? One
    ``seen`` for each photo of the page, in order."""
    texts = request.POST.getlist("seen")[:PHOTOS]
    refusals, findings = gate.compare({n: prints.opened(text) for n, text in enumerate(texts, start=1)})
    warnings = [reason for reason in findings if reason not in refusals]
    told = [reason | {"accepted": False} for reason in refusals]
    return JsonResponse({"reasons": told + [reason | {"accepted": True} for reason in warnings]})


@visitors.welcome
def enter_code(request):
    if request.method != "POST":  # the page was loaded anew, maybe in another language
        return redirect("studio:you")
    if lora := visitors.let_in(request, request.POST.get("code", "")):
        return redirect(f"{reverse('studio:postcard')}?face={lora.code}")
    return _page(request, status=400, wrong_code=True, typed=request.POST.get("code", "")[:40])


@visitors.welcome
@require_POST
def erase(request, code):
    """A face and all that was made with it: the weights, the training, the pictures."""
    known = request.visitor.loras().filter(code=code).exists()
    if not known:
        get_object_or_404(request.visitor.jobs(), code=code, kind=Job.Kind.TRAINING)
    deletion.delete(code, audit.client(request.visitor.caller.client))
    return visitors.forgotten(redirect(f"{reverse('studio:you')}?erased"))
