"""An action tried in a place: how the first step will see it, and painted once."""

from __future__ import annotations

from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods, require_safe

from diffuser_api.admin import job_panel, once
from diffuser_api.api.serializers import TEXT_LENGTH
from diffuser_api.catalogue import previews
from diffuser_api.jobs import lora_file, orders
from diffuser_api.jobs.orders import GenerationOrder
from diffuser_api.models import ActionImage, Job, LoraModel, PoiImage
from generation.request import AGES, GENDERS

VISITOR = "desk"  # whose the test pictures are


# In the order and with the values of the generation's own lists.
AGE_NAMES = {"young": _("young"), "adult": _("adult"), "old": _("old")}
GENDER_NAMES = {"woman": _("woman"), "man": _("man")}


class TrialForm(forms.Form):
    place = forms.ModelChoiceField(PoiImage.objects.none(), label=_("place"))
    shot = forms.ModelChoiceField(ActionImage.objects.none(), label=_("action"))
    age = forms.ChoiceField(
        label=_("age"), choices=[(age, AGE_NAMES.get(age, age)) for age in AGES], initial="adult"
    )
    gender = forms.ChoiceField(
        label=_("gender"), choices=[(gender, GENDER_NAMES.get(gender, gender)) for gender in GENDERS]
    )
    wearing = forms.CharField(
        label=_("wearing"), required=False, max_length=TEXT_LENGTH, help_text=_("In English.")
    )
    face = forms.CharField(
        label=_("face"), required=False, max_length=8, help_text=_("The code of a LoRA. Empty: nobody's.")
    )
    seed = forms.IntegerField(
        label=_("seed"), required=False, min_value=0, max_value=2**32 - 1, help_text=_("Empty: any.")
    )

    def __init__(self, *args, faces: bool, **kwargs):
        """``faces``: whoever asks may use LoRAs."""
        super().__init__(*args, **kwargs)
        if not faces:
            del self.fields["face"]
        places = PoiImage.objects.select_related("poi").order_by("poi__name", *PoiImage._meta.ordering)
        shots = ActionImage.objects.select_related("action").order_by("action__name", "shot_type")
        shot = [(row.pk, str(row)) for row in shots]
        place = [(row.pk, f"{row.poi}, {row.shown_name}") for row in places]
        for name, rows, choices in (("place", places, place), ("shot", shots, shot)):
            self.fields[name].queryset, self.fields[name].choices = rows, choices

    def clean_face(self) -> LoraModel | None:
        code = self.cleaned_data["face"]
        lora = LoraModel.objects.filter(code=code).first() if code else None
        if code and lora is None:
            raise forms.ValidationError(_("There is no LoRA with this code."))
        if lora and (misfit := lora_file.misfit(lora)):
            raise forms.ValidationError(str(misfit))
        return lora


def _form(data, faces: bool = False) -> TrialForm:
    """Filled with ``data``; a choice that it lacks is the first one."""
    form = TrialForm(faces=faces)
    values = {name: field.initial for name, field in form.fields.items()}
    values["gender"] = GENDERS[0]
    for name in ("place", "shot"):
        options = list(form.fields[name].choices)
        values[name] = options[0][0] if options else None
    return TrialForm({name: data.get(name, value) for name, value in values.items()}, faces=faces)


def _may(request, *permissions: str) -> bool:
    return all(request.user.has_perm(f"diffuser_api.{name}") for name in permissions)


@require_http_methods(["GET", "HEAD", "POST"])
def try_page(request):
    """The preview of ``place`` and ``shot``, and the job ``job`` if given. POST with ``paint``: paints it."""
    if not _may(request, "view_action", "view_poi"):
        raise PermissionDenied
    may_paint = _may(request, "add_job")
    form = _form(request.POST or request.GET, faces=_may(request, "view_loramodel"))
    if "paint" in request.POST:
        if not may_paint:
            raise PermissionDenied
        if form.is_valid():
            return _paint(request, form.cleaned_data)
    job = Job.objects.filter(code=request.GET.get("job", "")).first() if _may(request, "view_job") else None
    valid = form.is_valid()
    query = f"place={form.cleaned_data['place'].pk}&shot={form.cleaned_data['shot'].pk}" if valid else ""
    context = {
        **admin.site.each_context(request),
        "title": gettext("Try an action in a place"),
        "form": form,
        "preview": f"{reverse('admin:diffuser_api_action_preview')}?{query}" if query else "",
        "may_paint": may_paint,
        **once.new(),
        **(job_panel.context(job, request) if job else {}),
    }
    return TemplateResponse(request, "desk/try.html", context)


def _paint(request, asked: dict) -> HttpResponseRedirect:
    kept = {name: asked[name] for name in ("age", "gender", "wearing")}
    lora = asked.get("face")
    kept |= {"place": asked["place"].pk, "shot": asked["shot"].pk, "face": lora.code if lora else ""}
    url = f"{reverse('admin:diffuser_api_action_try')}?{urlencode(kept)}"
    order = GenerationOrder(
        poi_image=asked["place"],
        action_image=asked["shot"],
        lora=lora,
        age=asked["age"],
        gender=asked["gender"],
        other_details=asked["wearing"],
        seed=asked["seed"],
        visitor=VISITOR,
        idempotency_key=once.key_of(request),
    )
    try:
        job = orders.find_job(order.idempotency_key) or orders.create_job(order)
    except orders.REFUSALS as error:
        messages.error(request, str(error))
        return HttpResponseRedirect(url)
    return HttpResponseRedirect(f"{url}&job={job.code}#job")


@require_safe
def preview(request):
    """The picture of ``place`` and ``shot``."""
    if not _may(request, "view_action", "view_poi"):
        raise PermissionDenied
    form = _form(request.GET)
    if not form.is_valid():
        return HttpResponse(
            gettext("There is no such place or action."), status=404, content_type="text/plain"
        )
    try:
        content = previews.preview(form.cleaned_data["place"], form.cleaned_data["shot"])
    except previews.NoPreview as error:
        return HttpResponse(str(error), status=404, content_type="text/plain")
    return HttpResponse(content, content_type="image/png", headers={"Cache-Control": "private, no-store"})
