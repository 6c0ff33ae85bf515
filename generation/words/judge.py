"""The one judge of visitors' words: what they paint, and what is printed on their cards.

python -m generation.words.judge "a nude-coloured coat" "n4ked"
"""

from __future__ import annotations

from functools import lru_cache

from generation.words import nearness, rules


@lru_cache(maxsize=1024)  # a wish is judged as it is typed, in its form, and when its job is made
def intent(text: str, *, painted: bool, swimwear: bool = False) -> str:
    """Why the text is refused: one of ``rules.INTENTS``, or "swimwear"; empty if it is taken.

    ``painted``: it goes into a picture, and is asked for what may not be shown there. Other words are read by
    people, who may well write about a naked statue. ``swimwear``: the operator allows it.
    """
    if not text.strip():
        return ""
    return rules.found(text, painted=painted, swimwear=swimwear) or (nearness.intent(text) if painted else "")
