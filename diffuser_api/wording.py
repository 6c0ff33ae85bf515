"""Words of visitors: taken, or refused with a sentence that says what to do."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from generation.words import judge

SENTENCES = {
    "nudity": _("People are dressed in these pictures. Say what they wear, for example: a red coat."),
    "swimwear": _("Swimwear isn't painted here. Say what else you wear, for example: a summer dress."),
    "sexual": _("This sounds sexual, which can't be used here. Say it in other words, or leave it out."),
    "violence": _("This sounds violent, which can't be used here. Say it in other words, or leave it out."),
    "hate": _("This sounds hateful, which can't be used here. Say it in other words, or leave it out."),
    "politics": _("Politics can't be used here. Say it in other words, or leave it out."),
    "minors": _("Children can't be painted like this. Say it in other words, or leave it out."),
}


def code_of(intent: str) -> str:
    """Of the error that a serializer or a form raises."""
    return f"words_{intent}"


CODES = frozenset(map(code_of, SENTENCES))


class WordsRefused(Exception):
    """``intent`` is a key of SENTENCES. The text is its sentence, for the visitor."""

    def __init__(self, intent: str):
        super().__init__(str(SENTENCES[intent]))
        self.code = code_of(intent)


def check(text: str, *, painted: bool) -> None:
    """Raises WordsRefused. ``painted``: the words go into a picture, and not only on a card."""
    if intent := judge.intent(text, painted=painted, swimwear=settings.ALLOW_SWIMWEAR):
        raise WordsRefused(intent)
