"""Stored JSON as rows of names and values, in the reader's language."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import admin
from django.db import models
from django.utils.formats import number_format
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from diffuser_api.admin.words import STEP_NAMES

# A name that isn't here is shown as it is stored.
NAMES = {
    "action": _("action"),
    "action_score": _("nearness of the words to the action"),
    "again": _("painted again"),
    "age": _("age"),
    "beard": _("beard"),
    "candidates": _("faces to choose from"),
    "client": _("client"),
    "consent": _("consent"),
    "distance": _("distance to the photos"),
    "face": _("face found"),
    "gender": _("gender"),
    "given_at": _("time"),
    "glasses": _("glasses"),
    "hair": _("hair"),
    "import_seconds": _("seconds to import"),
    "index": _("number"),
    "inference_seconds": _("seconds to paint"),
    "language": _("language"),
    "left_out": _("words without room"),
    "likeness": _("likeness"),
    "load_seconds": _("seconds to load"),
    "lora_code": _("LoRA"),
    "lora_problem": _("problem of the LoRA"),
    "code": _("code"),
    "message": _("error message"),
    "made_from": _("digest of the catalogue's files"),
    "models": _("models"),
    "negative_prompt": _("negative prompt"),
    "other_details": _("other details"),
    "peak_gpu_mb": _("most GPU memory, MB"),
    "peak_rss_mb": _("most memory, MB"),
    "pid": _("process"),
    "prompt": _("prompt"),
    "seed": _("seed"),
    "step": _("step"),
    "style": _("hair style"),
    "train_seconds": _("seconds to train"),
    "version": _("version"),
    "versions": _("versions"),
    "written_mb": _("written, MB"),
}
VALUES = STEP_NAMES | {
    "adult": _("adult"),
    "auburn": _("auburn"),
    "bald": _("bald"),
    "beard": _("beard"),
    "black": _("black"),
    "blond": _("blond"),
    "brown": pgettext_lazy("hair", "brown"),
    "bun": _("bun"),
    "curly": _("curly"),
    "grey": _("grey"),
    "long": pgettext_lazy("hair", "long"),
    "man": _("man"),
    "moustache": _("moustache"),
    "old": _("old"),
    "parted": _("parted"),
    "red": _("red"),
    "round": pgettext_lazy("glasses", "round"),
    "short": pgettext_lazy("hair", "short"),
    "square": pgettext_lazy("glasses", "square"),
    "woman": _("woman"),
    "young": _("young"),
}
CODES = {"seed", "index", "pid"}  # numbers that nobody calculates with
ENGLISH = {"action", "message", "models", "negative_prompt", "prompt"}  # as the software stores them


def shown(value, name: str = ""):
    """``name``: the key that the value stands under."""
    if isinstance(value, dict) and value:
        rows = ((NAMES.get(key, key), shown(one, key)) for key, one in value.items())
        cells = format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", rows)
        return format_html('<table class="desk-values">{}</table>', cells)
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return format_html(
            "<ol>{}</ol>", format_html_join("", "<li>{}</li>", [(shown(one),) for one in value])
        )
    if isinstance(value, list) and value:
        return format_html_join(", ", "{}", [(shown(one, name),) for one in value])
    if isinstance(value, bool):
        return gettext("yes") if value else gettext("no")
    if isinstance(value, int | float) and name not in CODES:
        return number_format(round(value, 3))
    if value in (None, "", [], {}):
        return "-"
    if name in ENGLISH:
        return format_html('<span lang="en">{}</span>', value)
    return str(VALUES.get(value, value))


def _as_rows(field: models.JSONField) -> Callable:
    @admin.display(description=field.verbose_name)
    def rows(row):
        return shown(getattr(row, field.name))

    rows.__name__ = field.name  # the class of its row in the page
    return rows


class ReadableJson:
    """For an admin page of rows that can't be changed: its JSON columns as ``shown``."""

    def __init__(self, model, admin_site):
        super().__init__(model, admin_site)
        columns = [field for field in model._meta.get_fields() if isinstance(field, models.JSONField)]
        self._readable = {field.name: _as_rows(field) for field in columns}

    def get_fieldsets(self, request, obj=None):
        return [
            (title, options | {"fields": [self._readable.get(name, name) for name in options["fields"]]})
            for title, options in super().get_fieldsets(request, obj)
        ]
