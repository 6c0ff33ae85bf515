"""Requests and their pictures, as the measures take them."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import Image

from generation.miniature.world.scenes import Scene


@dataclass(frozen=True)
class Painted:
    """A request and its pictures: after each step by number, as the job's folder holds them."""

    scene: Scene
    steps: dict[int, Image.Image]
    seconds: float

    @property
    def last(self) -> Image.Image:
        return self.steps[max(self.steps)]

    @property
    def background(self) -> Image.Image:
        return self.steps[0]


@dataclass(frozen=True)
class PaintedVisitor:
    """A picture with the face of a person of the crowd."""

    number: int
    shot: str
    painted: Painted
