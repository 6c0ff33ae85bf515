"""What a visitor agrees to before photos are sent, in plain words, and the record of the agreement.

A changed text is another text: it needs a new VERSION, and nobody has agreed to it yet.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.conf import settings
from django.utils import timezone
from django.utils.translation import get_language, gettext, ngettext
from django.utils.translation import gettext_lazy as _

VERSION = "2026-12"
POINTS = (
    _(
        "From your five photos we train a small model of your face, and compute numbers by which it could be "
        "recognised."
    ),
    _("Both only paint your pictures. Nobody else gets them."),
)
ERASE = _("You can erase everything at any time.")
AGREE = _("I agree to this use of the photos.")
PERSON = _(
    "The photos show me, or somebody for whom I may decide, who is 18 or older, or whose parent or guardian "
    "agrees."
)


class NotGiven(Exception):
    """The text says what to send."""

    def __init__(self):
        super().__init__(
            f"Show the visitor the text of GET /api/consent/. Once they agree, send its version, {VERSION}."
        )


@dataclass(frozen=True)
class Consent:
    """Kept with the training; erased with it. Who agreed is the training's owner."""

    version: str
    language: str
    given_at: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def points() -> list[str]:
    """The text, in the language of the request."""
    return [*map(str, POINTS), _kept(), str(ERASE)]


def _kept() -> str:
    days = [days for days in (settings.KEEP_LORAS_DAYS, settings.KEEP_OUTPUTS_DAYS) if days]
    if len(days) < 2:
        return gettext("The photos are deleted after the training. The rest is kept until you erase it.")
    text = ngettext(
        "The photos are deleted after the training, the rest after %(days)s day.",
        "The photos are deleted after the training, the rest after %(days)s days.",
        max(days),
    )
    return text % {"days": max(days)}


def given(version: str) -> Consent | None:
    """The record of an agreement to this version of the text, now; None where no version is sent.

    Raises NotGiven for a version that isn't the one of today.
    """
    if not version:
        return None
    if version != VERSION:
        raise NotGiven
    return Consent(version, get_language() or settings.LANGUAGE_CODE, timezone.now().isoformat())
