"""The audit log's words, in the reader's language. Stored are ``audit``'s own words, codes, and names."""

from __future__ import annotations

from django.utils.translation import gettext, gettext_noop
from django.utils.translation import gettext_lazy as _

from diffuser_api import audit
from diffuser_api.models import Report

BY = {
    audit.ANYBODY: _("anybody"),
    audit.OPERATOR: _("the operator"),
    audit.AGE: _("deletion by age"),
    audit.NOT_CHOSEN: _("another candidate was kept"),
    audit.client(None): _("open API"),
}
WITH_NAMES = {"client": gettext_noop("client {name}"), "staff": gettext_noop("staff {name}")}
PHOTOS = {
    "wrong_count": _("not five photos"),
    "empty": _("empty file"),
    "too_large": _("file too large"),
    "not_a_picture": _("no picture"),
    "too_many_pixels": _("too many pixels"),
    "too_small": _("photo too small"),
    "too_narrow": _("photo too narrow"),
    "animated": _("animated"),
    "broken": _("file damaged"),
    "too_heavy": _("too much work to open"),
    "duplicate": _("the same photo twice"),
    "no_face": _("no face"),
    "several_faces": _("several faces"),
    "face_too_small": _("face too small"),
    "face_cut_off": _("face cut off"),
    "too_dark": _("too dark"),
    "too_bright": _("too bright"),
    "blurred": _("blurred"),
    "eyes_hidden": _("eyes covered"),
    "another_person": _("another person"),
}
WORDS = {
    "words_nudity": _("words: nudity"),
    "words_swimwear": _("words: swimwear"),
    "words_sexual": _("words: sexual"),
    "words_violence": _("words: violence"),
    "words_hate": _("words: hate"),
    "words_politics": _("words: politics"),
    "words_minors": _("words: children"),
}
REASONS = PHOTOS | WORDS | {audit.SAFETY: _("safety check"), **dict(Report.Reason.choices)}


def by(stored: str) -> str:
    if stored in BY:
        return str(BY[stored])
    role, space, name = stored.partition(" ")
    return gettext(WITH_NAMES[role]).format(name=name) if space and role in WITH_NAMES else stored


def reason(stored: str) -> str:
    """Of one word or several. One that isn't known, such as of an older version, is shown as it is stored."""
    return ", ".join(str(REASONS.get(word, word)) for word in stored.split(", "))
