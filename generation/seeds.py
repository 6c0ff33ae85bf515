"""The seeds of all noise. They follow from the request's seed, so the same request makes the same picture.

Step ``index`` (1 to 5) has the request's seed + ``index``. The face step's first candidate has the step's own
seed, candidate number n that seed + 1,000,000 * n. Noise is made on the CPU, whatever device paints.

torch is imported where it is used: a step's process counts the seconds that its import takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_BETWEEN_CANDIDATES = 1_000_000


def step_seed(request_seed: int, index: int) -> int:
    """0 to 2**32 - 1."""
    return (request_seed + index) % 2**32


def step_generator(request_seed: int, index: int) -> torch.Generator:
    """The random numbers of step ``index``."""
    import torch

    return torch.Generator("cpu").manual_seed(step_seed(request_seed, index))


def candidate_generators(first: torch.Generator, count: int) -> list[torch.Generator]:
    """``first``, which has not been drawn from yet, and one for each other candidate."""
    import torch

    seeds = [first.initial_seed() + _BETWEEN_CANDIDATES * number for number in range(1, count)]
    return [first, *(torch.Generator("cpu").manual_seed(seed) for seed in seeds)]
