"""The catalogue as a zip, out and in: two pages beside the places'."""

from __future__ import annotations

import tempfile

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_http_methods

from diffuser_api.admin.pages import AnyFileInput
from diffuser_api.catalogue import transfer

SHOWN = 20  # sentences about what is missing; the commands show all
NOTHING = _("Nothing was imported.")
MODELS = ("poi", "poiimage", "action", "actionimage")


class ImportForm(forms.Form):
    file = forms.FileField(label=_("zip file"), widget=AnyFileInput({"accept": ".zip,application/zip"}))


def _require(request, *verbs: str) -> None:
    if not all(request.user.has_perm(f"diffuser_api.{verb}_{model}") for verb in verbs for model in MODELS):
        raise PermissionDenied


def _some(sentences: list[str]) -> list[str]:
    more = len(sentences) - SHOWN
    return (
        sentences
        if more <= 0
        else [*sentences[:SHOWN], ngettext("and {count} more.", "and {count} more.", more).format(count=more)]
    )


@require_GET
def export(request):
    _require(request, "view")
    file = tempfile.TemporaryFile()  # noqa: SIM115  the response closes it
    done = transfer.write(file)
    file.seek(0)
    for sentence in _some(done.missing):  # the answer is the file: the next page shows them
        messages.warning(request, gettext("Not in the exported file: {reason}").format(reason=sentence))
    name = f"catalogue-{timezone.localdate()}.zip"
    return FileResponse(file, as_attachment=True, filename=name, content_type="application/zip")


@require_http_methods(["GET", "HEAD", "POST"])
def import_page(request):
    _require(request, "add", "change")
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        try:
            done = transfer.read(form.cleaned_data["file"])
        except transfer.CatalogueRefused as refused:
            form.add_error("file", f"{refused} {NOTHING}")
        else:
            if done.nothing:
                form.add_error("file", [NOTHING, *_some(done.left_out)])
                return _import_page(request, form)
            messages.success(request, str(done))
            for sentence in _some(done.left_out):
                messages.warning(request, gettext("Left out: {reason}").format(reason=sentence))
            return HttpResponseRedirect(reverse("admin:app_list", args=["diffuser_api"]))
    return _import_page(request, form)


def _import_page(request, form: ImportForm) -> TemplateResponse:
    context = {**admin.site.each_context(request), "title": gettext("Import a catalogue"), "form": form}
    return TemplateResponse(request, "desk/import.html", context)


def urls() -> list:
    """For the places' own URLs."""
    page = admin.site.admin_view
    return [
        path("catalogue.zip", page(export), name="catalogue_export"),
        path("import/", page(import_page), name="catalogue_import"),
    ]
