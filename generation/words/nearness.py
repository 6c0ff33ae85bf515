"""How near an English text is to what nobody may ask for, in words that no list has.

The sentence model compares the text with short examples, forbidden and harmless ones. It is weak at this: of
the forbidden English texts in ``benchmarks/red_team.tsv`` it finds about a quarter without refusing harmless
ones. So it is only the second net, behind the word lists, and speaks up when it is sure.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from generation.sentence_models import ENGLISH, vector

FORBIDDEN = {
    "nudity": (
        "a naked person without clothes",
        "wearing no clothes at all",
        "taking off all clothes",
        "showing the bare body",
    ),
    "sexual": ("sexy lingerie", "an erotic pose", "having sex", "seductive underwear"),
    "violence": (
        "killing someone with a weapon",
        "covered in blood",
        "attacking people with a gun",
        "threatening to kill you",
    ),
    "hate": ("a Nazi uniform with a swastika", "hatred of foreigners and Jews", "a racist symbol"),
    "politics": ("vote for a political party", "an election campaign", "a politician's face"),
    "minors": ("a child in underwear", "an underage girl", "looking like a little child"),
}
HARMLESS = (
    "a red coat and a hat",
    "a summer dress",
    "jeans and a T-shirt",
    "an elegant suit",
    "a traditional costume",
    "a nude-coloured coat",
    "waving at the camera",
    "dancing for joy",
    "jumping in the air",
    "taking a photo",
    "a party with friends",
    "playing a game with a ball",
    "taking off a hat",
    "posing for the camera",
    "showing strong muscles",
    "doing sports",
)
# The cosine to the nearest forbidden example less that to the nearest harmless one.
MARGIN = 0.20
MOST_PARTS = 8


def intent(text: str) -> str:
    """The intent that the text, or a part of it between commas, is clearly near to; empty if to none."""
    parts = [part.strip() for part in re.split(r"[,;.\n]", text) if part.strip()]
    names, forbidden, harmless = _examples()
    for part in dict.fromkeys([text, *parts[:MOST_PARTS]]):
        asked = vector(part, ENGLISH)
        near = forbidden @ asked
        if near.max() - (harmless @ asked).max() > MARGIN:
            return names[int(near.argmax())]
    return ""


@cache
def _examples() -> tuple[list[str], np.ndarray, np.ndarray]:
    """The forbidden examples' intents and vectors, and the harmless ones' vectors."""
    names = [name for name, texts in FORBIDDEN.items() for _ in texts]
    forbidden = np.stack([vector(text, ENGLISH) for texts in FORBIDDEN.values() for text in texts])
    return names, forbidden, np.stack([vector(text, ENGLISH) for text in HARMLESS])
