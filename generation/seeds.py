"""The seeds of all noise. They derive from the request's seed, so the same request gives the same picture.

The seed of step ``index`` (1 to 5) is the request's seed + ``index``. In the face step, candidate n (from 0)
has the step's seed + 1,000,000 * n. Noise is always made on the CPU, so that it is the same on every device.

torch is imported inside the functions, because a step's process measures how long this import takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_BETWEEN_CANDIDATES = 1_000_000


def step_seed(request_seed: int, index: int) -> int:
    """The seed of step ``index``: 0 to 2**32 - 1."""
    return (request_seed + index) % 2**32


def step_generator(request_seed: int, index: int) -> torch.Generator:
    """The random numbers of step ``index``."""
    import torch

    return torch.Generator("cpu").manual_seed(step_seed(request_seed, index))


def candidate_generators(first: torch.Generator, count: int) -> list[torch.Generator]:
    """A generator for each candidate. ``first`` is the first candidate's, and must be unused."""
    import torch

    seeds = [first.initial_seed() + _BETWEEN_CANDIDATES * number for number in range(1, count)]
    return [first, *(torch.Generator("cpu").manual_seed(seed) for seed in seeds)]
