"""The page that makes a postcard to print of a finished picture. The card is shown as it is typed; nothing of
that is kept."""

from __future__ import annotations

import base64

from django.conf import settings
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods
from rest_framework.serializers import ValidationError

from diffuser_api import audit
from diffuser_api.access import throttles
from diffuser_api.api import errors, postcards
from diffuser_api.models import Job
from diffuser_api.photos.pictures import derived
from diffuser_api.postcards import printing, wish
from diffuser_api.postcards.card import DPI, GREETING_LENGTH
from studio import sentences, sharing, visitors
from studio.views.files import OWN

SHOWN_DPI = 110
TEXTS = ("layout", "orientation", "edges", "greeting", "message", "address")
SWITCHES = ("show_place", "show_logo", "stamp", "qr")
ORIENTATIONS = {"landscape": _("landscape"), "portrait": _("portrait")}
EDGES = {
    "trimmed": _("10 x 15 cm, for my printer"),
    "bleed": _("with 3 mm bleed"),
    "crop_marks": _("with bleed and crop marks, for a print shop"),
}
LABELS = {"greeting": _("Greeting"), "message": _("Message"), "address": _("Address"), "place": _("Place")}
BUILT_IN_NAMES = {"framed": _("framed"), "full bleed": _("over the whole card")}
FILES = {  # value of a button: format and side
    "pdf": ("pdf", "front"),
    "front": ("jpeg", "front"),
    "back": ("jpeg", "back"),
    "front-png": ("png", "front"),
    "back-png": ("png", "back"),
}


@visitors.welcome
@require_http_methods(["GET", "HEAD", "POST"])
def card(request, code):
    pictures = request.visitor.jobs().filter(kind=Job.Kind.GENERATION, status=Job.Status.SUCCEEDED)
    job = get_object_or_404(pictures.select_related("poi_image__poi", "action_image"), code=code)
    sent = request.method == "POST"
    values = {name: request.POST.get(name, "") for name in TEXTS}
    values |= {name: not sent or name in request.POST for name in SWITCHES}
    if not sent:
        values |= _greeting(job)
    kind, side = FILES.get(request.POST.get("file", ""), ("", "front"))
    problems, shown, status = {}, {}, 400
    try:
        with postcards.counted_work(request.visitor.caller.address):
            asked = postcards.PostcardSerializer(
                data={name: value for name, value in values.items() if value != ""}
                | {"format": kind or "pdf", "side": side}
            )
            asked.is_valid(raise_exception=True)
            link = sharing.url_of(job, request)
            if kind:
                if values["qr"]:
                    sharing.share_at_least(job)
                return _file(postcards.print_card(job, asked.validated_data, link))
            shown = _shown(job, *postcards.pdf_of(job, asked.validated_data, link))
    except ValidationError as error:
        if kind:  # otherwise the card is only shown, while it is typed
            audit.words_refused(job.client, errors.codes_of(error))
        problems = {field: messages[0] for field, messages in error.detail.items()}
    except throttles.TooMuchWork as error:
        problems, status = {"": sentences.not_taken(error)}, 429
    except OSError as error:
        raise Http404 from error
    return _page(request, job, values, problems, shown, status=status if kind else 200)


def _greeting(job: Job) -> dict:
    """What a new card begins with. The greeting names the place, so the place isn't printed beneath it."""
    place = job.poi_image.poi.shown_name if job.poi_image else ""
    greeting = gettext("Greetings from {place}").format(place=place)
    fits = place and len(greeting) <= GREETING_LENGTH
    return {"greeting": greeting, "show_place": False} if fits else {}


def _file(printed: postcards.Printed) -> HttpResponse:
    headers = OWN | {"Content-Disposition": f'attachment; filename="{printed.name}"'}
    return HttpResponse(printed.content, content_type=printed.content_type, headers=headers)


def _shown(job: Job, pdf: bytes, dpi: int, person: int) -> dict:
    """Both sides as addresses that hold the picture itself, and how sharp it will be."""
    urls = {}
    for side in printing.SIDES:
        content = derived(printing.as_picture(pdf, side, SHOWN_DPI), job.output, postcards.ACTIONS)
        urls[side] = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
    return {**urls, "dpi": dpi, "person_dpi": person, "sharp": DPI, "softness": sentences.softness(person)}


def _page(request, job, values, problems, shown, status):
    context = {
        "job": job,
        "values": values,
        "shown": shown,
        "problems": [(field, LABELS.get(field, ""), text) for field, text in problems.items()],
        "wrong": list(problems),
    }
    if request.htmx:
        return render(request, "studio/_card_shown.html", context)
    offered = wish.layouts()
    context |= {
        "layouts": {layout.name: BUILT_IN_NAMES.get(layout.name, layout.shown_name) for layout in offered},
        "layout": values["layout"] or offered[0].name,
        "orientation": values["orientation"] or "landscape",
        "edges": values["edges"] or "trimmed",
        "orientations": ORIENTATIONS,
        "all_edges": EDGES,
        "share_days": settings.SHARE_DAYS,
        "has_logo": any(layout.logo for layout in offered),
    }
    return render(request, "studio/card.html", context, status=status)
