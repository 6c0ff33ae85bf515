"""The rules of ``rules.toml``, compiled, and what they find in a text."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path

from generation.words.normal import readings

FILE = Path(__file__).with_name("rules.toml")
INTENTS = ("nudity", "sexual", "violence", "hate", "politics", "minors")
HELD_BACK = " ~ "  # in place of a harmless phrase: no word, so that the words around it don't meet
_WITH_CHILDREN = ("nudity", "sexual", "swimwear", "intimate")


def found(text: str, *, painted: bool, swimwear: bool = False) -> str:
    """The intent of a text's forbidden words, one of INTENTS or "swimwear"; empty if there are none.

    ``painted``: the text goes into a picture. Other texts are printed on a card. ``swimwear``: it is allowed.
    """
    for reading in readings(text):
        if intent := _intent(_without_harmless(reading), painted, swimwear):
            return intent
    return ""


def _without_harmless(words: str) -> str:
    return _compiled()["harmless", "", ""].sub(HELD_BACK, words)


def _intent(words: str, painted: bool, swimwear: bool) -> str:
    if painted and _shows_child(words):
        return "minors"
    for intent in ("minors", *INTENTS):
        if _matches(intent, words, painted):
            return intent
    return "swimwear" if painted and not swimwear and _matches("swimwear", words, painted) else ""


def _shows_child(words: str) -> bool:
    """A child together with something that is no sight for others. Both in one language: "kind" is a child in
    German and no child in English."""
    return any(
        _of("child", "picture", language).search(words)
        and any(_of(intent, "picture", language).search(words) for intent in _WITH_CHILDREN)
        for language in languages()
    )


def _matches(intent: str, words: str, painted: bool) -> bool:
    places = ("picture", "card") if painted else ("card",)
    return any(_of(intent, place, language).search(words) for place in places for language in languages())


def _of(intent: str, place: str, language: str) -> re.Pattern:
    return _compiled().get((intent, place, language), _NEVER)


_NEVER = re.compile(r"(?!)")


@cache
def languages() -> tuple[str, ...]:
    return tuple(tomllib.loads(FILE.read_text("utf-8"))["harmless"])


@cache
def _compiled() -> dict[tuple[str, str, str], re.Pattern]:
    """By intent, place and language; the harmless phrases of all languages in one."""
    rules = tomllib.loads(FILE.read_text("utf-8"))
    sets = rules.pop("sets")
    harmless = rules.pop("harmless")
    compiled = {("harmless", "", ""): _pattern(sum(harmless.values(), []), sets)}
    for intent, places in rules.items():
        for place, of_language in places.items():
            for language, patterns in of_language.items():
                compiled[intent, place, language] = _pattern(patterns, sets)
    return compiled


def _pattern(patterns: list[str], sets: dict[str, str]) -> re.Pattern:
    """One expression that matches whole words."""
    return re.compile(rf"(?<!\w)(?:{'|'.join(_filled(one, sets) for one in patterns)})(?!\w)")


def _filled(pattern: str, sets: dict[str, str]) -> str:
    """The pattern with the lists of [sets] in place of their names. Braces around numbers stay."""
    return re.sub(r"\{([a-z_]+)\}", lambda name: sets[name[1]], pattern)
