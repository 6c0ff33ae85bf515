"""Parts that several pages share: uploads cleaned before they are stored, forms that survive an error."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminFileWidget
from django.core.exceptions import ValidationError
from django.forms import Script
from django.http import JsonResponse
from django.urls import reverse
from django.utils.html import format_html

from diffuser_api.catalogue import entrance

ACCEPTED = "image/*,.heic,.heif"
BY_SCRIPT = "X-Desk"  # a header: the page's script sends the form, and wants JSON


def thumbnail(url_name: str, pk: int, field: str, height: int = 120) -> str:
    url = reverse(url_name, args=[pk, field])
    return format_html('<img src="{}" height="{}" alt="" loading="lazy">', url, height)


def module(path: str) -> Script:
    """A script of ours for a page's ``media``."""
    return Script(path, type="module")


class AnyFileInput(AdminFileWidget):
    template_name = "desk/file_input.html"

    class Media:
        css = {"all": ["desk/desk.css"]}
        js = [module("desk/file_fields.js")]


class KeptFileInput(AnyFileInput):
    """With the name of the file that is there, and a box to remove it."""

    template_name = "desk/kept_file_input.html"


class FileInput(AnyFileInput):
    def __init__(self, attrs=None):
        super().__init__({"accept": ACCEPTED, **(attrs or {})})


class PictureField(forms.FileField):
    """A picture as it comes from a camera or a phone; kept upright, in sRGB and without metadata."""

    widget = FileInput

    def clean(self, data, initial=None):
        file = super().clean(data, initial)
        if not data:
            return file
        try:
            return entrance.as_file(entrance.picture(file), file.name)
        except entrance.PictureRefused as refused:
            raise ValidationError(str(refused)) from refused


class DeskAdmin(admin.ModelAdmin):
    """A browser forgets chosen files, and all that was drawn, when a form comes back with an error. So the
    page's script sends the form and gets JSON: where to go, or what is wrong with which field."""

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        answer = super().changeform_view(request, object_id, form_url, extra_context)
        if request.method != "POST" or BY_SCRIPT not in request.headers:
            return answer
        if "Location" in answer.headers:
            return JsonResponse({"location": answer["Location"]})
        return JsonResponse({"errors": _errors(answer.context_data)}, status=400)


def _errors(context: dict) -> dict[str, list[str]]:
    """Sentences for each field, by its name in the page; those of a whole form by its prefix alone."""
    found: dict[str, list[str]] = {}
    formsets = [inline.formset for inline in context["inline_admin_formsets"]]
    for formset in formsets:
        if errors := formset.non_form_errors():
            found[formset.prefix] = list(errors)
    for form in [context["adminform"].form, *(form for formset in formsets for form in formset.forms)]:
        for field, errors in form.errors.items():
            name = (form.prefix or "") if field == "__all__" else form.add_prefix(field)
            found[name] = list(errors)
    return found
