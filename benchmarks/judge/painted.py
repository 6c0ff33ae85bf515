"""Requests and their pictures, as the measures take them."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from generation.miniature.world.scenes import Scene


@dataclass(frozen=True)
class Painted:
    """A request and its pictures: after each step by number, as the job's folder holds them, and the finished
    one, at the size of the place's photograph."""

    scene: Scene
    steps: dict[int, Image.Image]
    finished: Image.Image
    seconds: float

    @property
    def last(self) -> Image.Image:
        """The finished picture at the canvas's size."""
        return self.finished.resize(self.background.size, Image.Resampling.LANCZOS)

    @property
    def background(self) -> Image.Image:
        return self.steps[0]


@dataclass(frozen=True)
class PaintedVisitor:
    """A picture with the face of a person of the crowd."""

    number: int
    shot: str
    painted: Painted
