"""Samples drawn by worker processes, and the newest of them kept on the device."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from generation.miniature.training.device import Device


class _Chunks(Dataset):
    """Chunk ``k``: samples ``k * size`` up to ``(k + 1) * size``, as one dictionary of stacked arrays."""

    def __init__(self, draw: Callable[[int], dict], size: int):
        self.draw, self.size = draw, size

    def __getitem__(self, chunk: int) -> dict:
        drawn = [self.draw(k) for k in range(chunk * self.size, (chunk + 1) * self.size)]
        return {name: _stacked([sample[name] for sample in drawn]) for name in drawn[0]}


def _stacked(values: list):
    return torch.from_numpy(np.stack(values)) if isinstance(values[0], np.ndarray) else values


def drawn_chunks(draw: Callable[[int], dict], size: int, first: int, device: Device) -> Iterator[dict]:
    """Chunks ``first``, ``first + 1``, ... without end, in order, drawn ahead by other processes.

    The processes are spawned, since a process that uses CUDA must not fork.
    """
    workers = drawing_processes(device)
    return iter(
        DataLoader(
            _Chunks(draw, size),
            batch_size=None,
            sampler=range(first, 10**9),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=device.is_gpu,
            multiprocessing_context="spawn" if workers else None,
        )
    )


def drawing_processes(device: Device) -> int:
    """For each of two streams: on a GPU all cores but two; on a CPU one, as the networks need the cores."""
    return max(1, (len(os.sched_getaffinity(0)) - 2) // 2) if device.is_gpu else 1


class Ring:
    """The newest ``capacity`` samples as tensors on the device; a new one takes the place of the oldest."""

    def __init__(self, capacity: int, device: Device):
        self.capacity, self.device, self.put_so_far = capacity, device, 0
        self.fields: dict[str, torch.Tensor] = {}

    def __len__(self) -> int:
        return min(self.put_so_far, self.capacity)

    def put(self, rows: dict[str, torch.Tensor]) -> None:
        count = len(next(iter(rows.values())))
        places = (torch.arange(count) + self.put_so_far) % self.capacity
        for name, values in rows.items():
            if name not in self.fields:
                shape = (self.capacity, *values.shape[1:])
                self.fields[name] = torch.empty(shape, dtype=values.dtype, device=self.device.type)
            self.fields[name][self.device.place(places)] = self.device.place(values)
        self.put_so_far += count

    def skip(self, count: int) -> None:
        """Count samples that have been put and overwritten before, without drawing them again."""
        self.put_so_far += count

    def take(self, count: int, generator: np.random.Generator) -> dict[str, torch.Tensor]:
        """``count`` samples, drawn evenly with repetition."""
        places = self.device.place(torch.from_numpy(generator.integers(len(self), size=count)))
        return {name: values[places] for name, values in self.fields.items()}


class Supply:
    """A ring and the chunks that fill it: ``beforehand`` samples, then ``each_step`` new ones a step.

    What the ring holds at a step follows from the step alone, so a resumed training sees what it would have
    seen. ``prepare`` makes rows of the ring out of a chunk.
    """

    def __init__(
        self,
        draw: Callable[[int], dict],
        prepare: Callable[[dict], dict[str, torch.Tensor]],
        *,
        capacity: int,
        chunk: int,
        beforehand: int,
        each_step: float,
        step: int,
        device: Device,
    ):
        self.chunk, self.beforehand, self.each_step, self.prepare = chunk, beforehand, each_step, prepare
        self.ring = Ring(capacity, device)
        oldest = max(0, self._chunks_at(step) - capacity // chunk)
        self.ring.skip(oldest * chunk)
        self.chunks = drawn_chunks(draw, chunk, oldest, device)
        self.fill(step)

    def _chunks_at(self, step: int) -> int:
        return int((self.beforehand + step * self.each_step) / self.chunk)

    def fill(self, step: int) -> Ring:
        """The ring with all samples that ``step`` may see."""
        while self.ring.put_so_far < self._chunks_at(step) * self.chunk:
            self.ring.put(self.prepare(next(self.chunks)))
        return self.ring
