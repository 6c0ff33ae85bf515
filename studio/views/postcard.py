"""The page of the postcard: place, action and face, with a preview."""

from dataclasses import replace

from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from diffuser_api import audit, wording
from diffuser_api.catalogue import lookup
from diffuser_api.jobs import lora_file, orders
from diffuser_api.jobs.status_changes import UNFINISHED
from diffuser_api.models import Action, Job, PoiImage
from studio import clothes, forms, once, sentences, visitors
from studio.views.choosing import page_of, wanted


@visitors.welcome
@require_http_methods(["GET", "HEAD", "POST"])
def postcard(request):
    if request.method == "POST":
        values = {field: request.POST.get(field, "") for field in forms.FIELDS}
        if "preview" in request.POST:
            return _page(request, values, {})
        return _ask(request, values)
    if "from" in request.GET:
        pictures = request.visitor.jobs().filter(kind=Job.Kind.GENERATION)
        values = forms.values_of(get_object_or_404(pictures, code=request.GET["from"]))
    else:
        values = forms.starting_values(request.visitor)
    return _page(request, values | {"face": request.GET.get("face", values["face"])}, {})


def _ask(request, values: dict[str, str]):
    key, form = once.key_of_form(request), forms.PostcardForm(values)
    if job := orders.find_job(key):
        return redirect(page_of(job))
    problems = form.problems()
    audit.words_refused(request.visitor.caller.client, form.codes())
    if not problems:
        asked = {"idempotency_key": key, "candidates": wanted(request)}
        order = replace(form.order(request.visitor), **asked)
        if order.lora and lora_file.misfit(order.lora):
            problems = {"face": forms.sentence_of("selected_lora")}
    if not problems:
        try:
            return redirect(page_of(orders.create_job(order)))
        except orders.REFUSALS as error:
            problems = {"all": sentences.not_taken(error)}
    return _page(request, values, problems, status=400)


def _page(request, values, problems, status=200):
    images = list(PoiImage.objects.select_related("poi").order_by("poi__name", *PoiImage._meta.ordering))
    actions = [
        {
            "name": action.name,
            "shown": action.shown_name,
            "shots": {shot.shot_type: shot.pk for shot in action.images.all()},
        }
        for action in Action.objects.prefetch_related("images")
    ]
    if images and not values.get("place"):
        values["place"] = str(images[0].pk)
    if actions and not values.get("action"):
        values["action"] = next((a["name"] for a in actions if values["shot"] in a["shots"]), "")
    context = {
        "values": values,
        "problems": problems,
        "images": images,
        "chosen_place": next((image for image in images if str(image.pk) == values["place"]), None),
        "actions": actions,
        "figure": _figure(values),
        "loras": request.visitor.loras(),
        "training": request.visitor.jobs().filter(kind=Job.Kind.TRAINING, status__in=UNFINISHED).first(),
        "shots": forms.SHOTS,
        "ages": forms.AGES,
        "genders": forms.GENDERS,
        "garments": clothes.GARMENTS,
        "colours": clothes.COLOURS,
    }
    return render(request, "studio/postcard.html", context, status=status)


def _figure(values):
    if values["how"] != "words":
        return forms.figure_of(values)
    try:
        return _in_words(values["words"], values["shot"])
    except (lookup.NotInCatalogue, wording.WordsRefused):
        return None


def _in_words(words: str, shot: str):
    if not words.strip():
        return None
    wording.check(words[: forms.TEXT_LENGTH], painted=True)
    action, _ = lookup.action_pick(words[: forms.TEXT_LENGTH])
    return lookup.action_image_get(action, shot)


@visitors.welcome
@require_safe
def figure_in_words(request):
    """What is picked for the words typed so far."""
    words, figure, problem = request.GET.get("words", ""), None, ""
    try:
        figure = _in_words(words.replace("\0", ""), request.GET.get("shot", ""))
    except lookup.NotInCatalogue as error:
        problem = forms.sentence_of(error.field)
    except wording.WordsRefused as error:
        problem = str(error)
    context = {"figure": figure, "problem": problem}
    return render(request, "studio/_figure_in_words.html", context)
