"""Sees through disguises of words: look-alike letters, digits for letters, spaced letters, invisible ones.

``readings`` gives each way in which a text may be meant. For plain words that is one.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import product

MOST_READINGS = 60
MOST_MASKS = 2  # letters that are hidden by * or #
_VOWELS = "aeiou"
_MASK = re.compile(r"(?<=[^\W_])[*#](?=[^\W_])")
_DIGITS = str.maketrans("0345789@$€+", "oeastbgaset")
_SPELLED = re.compile(r"(?<!\S)\S(?: \S){2,}(?!\S)")
_LONG_RUN = re.compile(r"(\w)\1{2,}")
# NFKD leaves these letters whole.
_OTHER_LETTERS = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"})
# Small Cyrillic and Greek letters that look like large Latin ones, which Unicode's table leaves out.
_LIKE_CAPITALS = dict(zip("твнмкτκημ", "tbhmktkhm", strict=True))


@cache
def _look_alikes() -> dict[int, str]:
    """Letters of other scripts to the Latin letter that they look like, by Unicode's table."""
    from confusable_homoglyphs.confusables import confusables_data

    found = {ord(letter): latin for letter, latin in _LIKE_CAPITALS.items()}
    for letter, likes in confusables_data.items():
        if len(letter) == 1 and not letter.isascii() and letter.isalpha():
            latin = next((one["c"] for one in likes if len(one["c"]) == 1 and one["c"].isascii()), "")
            if latin.isalpha():
                found.setdefault(ord(letter), latin)
    return found


def fold(text: str) -> str:
    """The text in small Latin letters without accents. Invisible characters are left out."""
    visible = "".join(one for one in text if unicodedata.category(one) not in ("Cf", "Cc") or one.isspace())
    latin = unicodedata.normalize("NFKC", visible)
    if not latin.isascii():
        latin = latin.translate(_look_alikes())
    decomposed = unicodedata.normalize("NFKD", latin.casefold())
    plain = "".join(one for one in decomposed if unicodedata.category(one) != "Mn")
    return " ".join(plain.translate(_OTHER_LETTERS).split())


def readings(text: str) -> list[str]:
    """Each reading: folded words with single spaces between them. The plain one comes first."""
    folded = fold(text)
    found = dict.fromkeys([_words(folded)])
    for shown, one_is, glue in product(_unmasked(folded), ("", "i", "l"), (False, True)):
        reading = _SPELLED.sub(lambda run: run[0].replace(" ", ""), _trimmed(shown))
        if one_is:
            reading = " ".join(_from_digits(token, one_is) for token in reading.split())
        if glue:
            reading = re.sub(r"(?<=[^\W_])[^\w\s]+|_+(?=[^\W_])", "", reading)
        words = _words(reading)
        found |= dict.fromkeys([words, _LONG_RUN.sub(r"\1", words), _LONG_RUN.sub(r"\1\1", words)])
        if len(found) >= MOST_READINGS:
            break
    return list(found)


def _words(text: str) -> str:
    """Spaces instead of everything that is neither letter nor digit."""
    return " ".join(re.sub(r"[\W_]+", " ", text).split())


def _trimmed(text: str) -> str:
    """Without the punctuation at the ends of words, which stands for no letter."""
    return " ".join(token.strip(".,;:!?\"'()") or token for token in text.split())


def _unmasked(text: str) -> list[str]:
    """The text with each vowel in place of a hidden letter: n*ked."""
    parts = _MASK.split(text)
    if not 1 < len(parts) <= MOST_MASKS + 1:
        return [text]
    fillings = product(_VOWELS, repeat=len(parts) - 1)
    return ["".join(a + b for a, b in zip(parts, (*filling, ""), strict=True)) for filling in fillings]


def _from_digits(token: str, one_is: str) -> str:
    """Letters for the digits and signs in a word: n4k3d. Numbers stay."""
    if not any(letter.isalpha() for letter in token):
        return token
    return token.translate(_DIGITS).translate(dict.fromkeys(map(ord, "1!|"), one_is))
