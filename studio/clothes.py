"""A visitor's clothes: chosen in any language, and English words for the models."""

from __future__ import annotations

import re

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

GARMENTS = {"t-shirt": _("T-shirt"), "sweater": _("sweater"), "coat": _("coat"), "dress": _("dress")}
COLOURS = {
    "red": _("red"),
    "orange": _("orange"),
    "yellow": _("yellow"),
    "green": _("green"),
    "teal": _("teal"),
    "blue": _("blue"),
    "purple": _("purple"),
    "pink": _("pink"),
    "white": _("white"),
    "black": _("black"),
    "brown": _("brown"),
    "grey": _("grey"),
}
_ANY = "clothes"  # of a colour, whatever they are
_PHRASE = re.compile(
    rf"(?:an? )?(?:({'|'.join(COLOURS)}) ?)?({'|'.join([*GARMENTS, _ANY])})?(?:, (.*))?", re.DOTALL
)


def phrase(garment: str, colour: str, more: str) -> str:
    """What the prompt says of them: "a red coat, a straw hat". Unknown garments and colours say nothing."""
    colour = colour if colour in COLOURS else ""
    if garment in GARMENTS:
        noun = f"{colour} {garment}".strip()
        noun = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    else:
        noun = f"{colour} {_ANY}" if colour else ""
    return ", ".join(filter(None, [noun, more]))


def choices(text: str) -> dict[str, str]:
    """The form's ``garment``, ``colour`` and ``clothes`` from which ``phrase`` makes this text."""
    found = _PHRASE.fullmatch(text)
    colour, garment, more = (word or "" for word in found.groups()) if found else ("", "", text)
    chosen = {"garment": "" if garment == _ANY else garment, "colour": colour, "clothes": more}
    return chosen if phrase(*chosen.values()) == text else {"garment": "", "colour": "", "clothes": text}


def shown(text: str) -> tuple[str, str]:
    """What ``choices`` finds in this text, in the page's language, and the visitor's own words."""
    garment, colour, more = choices(text).values()
    noun = str(GARMENTS.get(garment, _("clothes"))) if garment or colour else ""
    if colour:
        noun = gettext("%(colour)s %(garment)s") % {"colour": COLOURS[colour], "garment": noun}
    return noun, more
