"""Photos against each other, by what was seen in each. Plain Python: the web process imports this."""

from __future__ import annotations

import math
from collections.abc import Sequence

SAME_PERSON = 0.6  # distance of two embeddings up to which they are the same person's
VERY_LIKE = 0.45  # up to which another photo of the same person is, as a rule (MEASURED.md)
SAME_PICTURE = 4  # bits of 64 in which fingerprints of one picture's copies may differ


def find_twin(fingerprint: int, others: dict[int, int]) -> int | None:
    """The number of the photo that this is a copy of. ``others``: fingerprints by number."""
    for number, other in others.items():
        if (fingerprint ^ other).bit_count() <= SAME_PICTURE:
            return number
    return None


def strangers(embeddings: dict[int, Sequence[float]]) -> list[int]:
    """The photos, by number, that show another person than at least half of the others do."""
    found = []
    for number, mine in embeddings.items():
        others = [theirs for other, theirs in embeddings.items() if other != number]
        near = sum(math.dist(mine, theirs) <= SAME_PERSON for theirs in others)
        if near < len(others) / 2:
            found.append(number)
    return found
