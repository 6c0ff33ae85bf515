"""Picks the action that is most similar to a free text, such as "he leaps for joy".

The texts' vectors (``sentence_models``) are compared by cosine. The web process can afford this: no torch is
needed. Imports no Django.

    python -m generation.action_picker "he leaps for joy" "jumping=jumping in the air" "waving=waving"
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from generation.sentence_models import ENGLISH, ModelUnavailable, vector

__all__ = ["MIN_SCORE", "Match", "ModelUnavailable", "pick"]
# Below this the best match means nothing. Measured by benchmarks/action_picker.py, in English and Italian.
MIN_SCORE = 0.30


@dataclass(frozen=True)
class Match:
    name: str
    score: float  # mean cosine of the text to the action's name and description, -1..1


def pick(
    text: str,
    actions: Sequence[tuple[str, str]],
    language: str = ENGLISH,
    translated: Mapping[str, tuple[str, str]] | None = None,
) -> list[Match]:
    """All ``actions`` (name, description), the most similar to ``text`` first.

    ``language``: of the text. ``translated``: by an action's name, its name and description in that language;
    the better of the two counts. Equal scores are ordered by name. Raises ModelUnavailable.
    """
    asked, matches = vector(text, language), []
    for name, description in actions:
        called = [(name, description), *filter(None, [(translated or {}).get(name)])]
        score = max(float(_action_vector(*words, language) @ asked) for words in called)
        matches.append(Match(name, score))
    return sorted(matches, key=lambda match: (-match.score, match.name))


@lru_cache(maxsize=2048)
def _action_vector(name: str, description: str, language: str) -> np.ndarray:
    """The mean of the vectors of name and description. Its dot product with a text's vector is the mean of
    the two cosines. The cache is keyed by the words, so a changed action gets a new vector."""
    return np.mean([vector(part, language) for part in (name, description or name)], axis=0)


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not all("=" in action for action in arguments[1:]):
        print('usage: python -m generation.action_picker "free text" NAME=DESCRIPTION...', file=sys.stderr)
        return 2
    actions = [tuple(action.split("=", 1)) for action in arguments[1:]]
    for match in pick(arguments[0], actions):
        print(f"{match.score:6.3f}  {match.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
