"""Fields for a row's texts in each other language of the pages, beside the form's own: ``name_it``."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AdminTextInputWidget
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from diffuser_api import languages


def translated_fields(model) -> dict[str, tuple[str, str]]:
    """Form field: the model's field, and the language."""
    codes = languages.others()
    return {f"{field}_{code}": (field, code) for field in model.TRANSLATED for code in codes}


class TranslatedForm(forms.ModelForm):
    """Made by ``form_for``."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        stored = self.instance.translations or {}
        for name, (field, code) in translated_fields(self._meta.model).items():
            self.initial.setdefault(name, stored.get(code, {}).get(field, ""))

    def clean(self):
        values = super().clean()
        kept = {code: dict(texts) for code, texts in (self.instance.translations or {}).items()}
        for name, (field, code) in translated_fields(self._meta.model).items():
            kept.setdefault(code, {})[field] = values.get(name, "")
        texts = {code: {field: text for field, text in found.items() if text} for code, found in kept.items()}
        self.instance.translations = {code: found for code, found in texts.items() if found}
        return values


def form_for(model, *fields: str, own_form: type[forms.ModelForm] = forms.ModelForm) -> type[TranslatedForm]:
    """``fields`` of the model, or those of ``own_form``, and after them a field for each language."""
    names, added = list(fields or own_form._meta.fields), {}
    for name, (field, code) in translated_fields(model).items():
        original = model._meta.get_field(field).formfield()
        label = format_lazy("{} ({})", original.label, languages.others()[code])
        added[name] = type(original)(
            label=label, max_length=original.max_length, required=False, widget=AdminTextInputWidget
        )
    meta = type("Meta", (getattr(own_form, "Meta", object),), {"model": model, "fields": [*names, *added]})
    return type(own_form)(f"Translated{model.__name__}", (TranslatedForm, own_form), {**added, "Meta": meta})


class ShownWords:
    """Columns of a list in the reader's language."""

    @admin.display(description=_("name"), ordering="name")
    def shown_name(self, row):
        return row.shown_name

    @admin.display(description=_("description"), ordering="description")
    def shown_description(self, row):
        return row.shown_description
