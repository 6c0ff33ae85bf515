"""A visitor as their photos show them: what the steps compare a painted head with, and restore it by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from generation.request import GenerationRequest
from generation.vision.looks import PLAIN, Looks


@dataclass(frozen=True)
class Visitor:
    """``embeddings``: a vector for each face in the photos. ``looks``: as far as they are known."""

    embeddings: Sequence[Sequence[float]] = ()
    looks: Looks = field(default_factory=dict)


UNKNOWN = Visitor()
# Where no visitor is painted: told nothing, the restoration network put moustaches on women.
NOBODY = Visitor(looks=PLAIN)


def visitor_of(request: GenerationRequest) -> Visitor:
    if not request.lora and not request.faces:
        return NOBODY
    return Visitor(request.faces or (), request.looks)
