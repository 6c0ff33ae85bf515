"""What people see of the catalogue, in the languages of the pages.

A row's ``name`` is how the API and the ZIP file call it, and its ``description`` goes into the prompt, which
the models read in English. So neither changes with the reader's language. The words for readers are beside
them, in ``translations``: {"it": {"name": "fare ciao", "description": "fare ciao con una mano alzata"}}. A
library such as django-modeltranslation would make ``name`` another column in each request, and each new
language a migration.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import get_language


def others() -> dict[str, str]:
    """The languages of the pages beside English, with their own names."""
    return {code: name for code, name in settings.LANGUAGES if code != settings.LANGUAGE_CODE}


class Translated(models.Model):
    """A row with texts in several languages. A text that isn't translated is shown as it is."""

    TRANSLATED: tuple[str, ...] = ("name",)
    # null: the version before makes rows without this column
    translations = models.JSONField(null=True, blank=True, default=dict, editable=False)

    class Meta:
        abstract = True

    def clean(self):
        """The same rules as for the untranslated texts."""
        super().clean()
        for texts in (self.translations or {}).values():
            texts |= {field: self._meta.get_field(field).clean(text, self) for field, text in texts.items()}

    def translated(self, field: str, language: str | None = None) -> str:
        """The text in the reader's language; ``language``: in another one."""
        code = (language or get_language() or "").partition("-")[0]
        return (self.translations or {}).get(code, {}).get(field) or getattr(self, field)

    @property
    def shown_name(self) -> str:
        return self.translated("name")

    @property
    def shown_description(self) -> str:
        return self.translated("description")
