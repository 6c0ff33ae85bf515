"""A pen that draws anti-aliased shapes in scene units, whatever the size of the picture.

A scene is 256 units wide and high. A ``View`` says which square of it is seen and at how many
pixels, so the same scene can be drawn whole or as a close-up with all its detail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

SCENE = 256
SUPERSAMPLING = 2

Point = tuple[float, float]
Colour = tuple[int, int, int]


def grow(mask: Image.Image, pixels: int) -> Image.Image:
    """The mask (mode L) with ``pixels`` more on every side, corners square."""
    around = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return Image.fromarray(cv2.dilate(np.asarray(mask), around))


@dataclass(frozen=True)
class View:
    """The square of the scene with corner (``left``, ``top``) and ``side`` (units), drawn ``pixels`` wide."""

    left: float = 0.0
    top: float = 0.0
    side: float = SCENE
    pixels: int = SCENE

    @property
    def scale(self) -> float:
        """Pixels per scene unit."""
        return self.pixels / self.side


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """``a`` with ``share`` (0..1) of ``b`` in it."""
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))  # type: ignore[return-value]


def shade(colour: Colour, factor: float) -> Colour:
    """``colour`` made darker (factor below 1) or lighter (above 1)."""
    return tuple(max(0, min(255, round(c * factor))) for c in colour)  # type: ignore[return-value]


class Pen:
    """Draws on a picture at ``SUPERSAMPLING`` times the view's size; ``picture()`` gives the result.

    ``mode`` is "RGB" for scenes, "L" for masks (colours are then numbers 0..255).
    """

    def __init__(self, view: View, mode: str = "RGB", background: Colour | int = 0):
        self.view = view
        self.factor = view.scale * SUPERSAMPLING
        side = view.pixels * SUPERSAMPLING
        self.image = Image.new(mode, (side, side), background)
        self.draw = ImageDraw.Draw(self.image)

    def picture(self) -> Image.Image:
        return self.image.reduce(SUPERSAMPLING)

    def at(self, point: Point) -> Point:
        """Scene units to pixels of the supersampled picture."""
        return ((point[0] - self.view.left) * self.factor, (point[1] - self.view.top) * self.factor)

    def polygon(self, points: Sequence[Point], colour) -> None:
        self.draw.polygon([self.at(p) for p in points], fill=colour)

    def line(self, points: Sequence[Point], colour, width: float) -> None:
        """A polyline ``width`` units wide with round joints and ends."""
        pixels = max(1, round(width * self.factor))
        places = [self.at(p) for p in points]
        self.draw.line(places, fill=colour, width=pixels, joint="curve")
        if pixels > 2:
            half = pixels / 2
            for x, y in (places[0], places[-1]):
                self.draw.ellipse((x - half, y - half, x + half, y + half), fill=colour)

    def taper(self, a: Point, b: Point, colour, width_a: float, width_b: float) -> None:
        """A limb: a segment whose width goes from ``width_a`` to ``width_b`` units, with round ends."""
        angle = math.atan2(b[1] - a[1], b[0] - a[0]) + math.pi / 2
        dx, dy = math.cos(angle) / 2, math.sin(angle) / 2
        self.polygon(
            [
                (a[0] + dx * width_a, a[1] + dy * width_a),
                (b[0] + dx * width_b, b[1] + dy * width_b),
                (b[0] - dx * width_b, b[1] - dy * width_b),
                (a[0] - dx * width_a, a[1] - dy * width_a),
            ],
            colour,
        )
        self.ellipse(a, width_a / 2, width_a / 2, colour)
        self.ellipse(b, width_b / 2, width_b / 2, colour)

    def ellipse(self, centre: Point, rx: float, ry: float, colour) -> None:
        x, y = self.at(centre)
        w, h = rx * self.factor, ry * self.factor
        self.draw.ellipse((x - w, y - h, x + w, y + h), fill=colour)

    def rectangle(self, left: float, top: float, right: float, bottom: float, colour) -> None:
        if right > left and bottom > top:
            self.draw.rectangle((*self.at((left, top)), *self.at((right, bottom))), fill=colour)

    def gradient(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        """A band over the whole width, from colour ``upper`` at ``top`` to ``lower`` at ``bottom``."""
        strips = 24
        height = (bottom - top) / strips
        for k in range(strips):
            y = top + k * height
            colour = mix(upper, lower, k / (strips - 1))
            self.rectangle(-SCENE, y, 2 * SCENE, y + height + 1, colour)


class Frame:
    """A turned and scaled set of axes on a pen: what is drawn inside moves and turns as one thing."""

    def __init__(self, pen: Pen, origin: Point, scale: float, degrees: float = 0.0):
        self.pen, self.origin, self.scale = pen, origin, scale
        self.cos, self.sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def to_scene(self, x: float, y: float) -> Point:
        x, y = x * self.scale, y * self.scale
        return (self.origin[0] + x * self.cos - y * self.sin, self.origin[1] + x * self.sin + y * self.cos)

    def polygon(self, points: Sequence[Point], colour) -> None:
        self.pen.polygon([self.to_scene(x, y) for x, y in points], colour)

    def line(self, points: Sequence[Point], colour, width: float) -> None:
        self.pen.line([self.to_scene(x, y) for x, y in points], colour, width * self.scale)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour, start=0.0, end=360.0) -> None:
        """An ellipse, or the closed arc of it from ``start`` to ``end`` degrees (0 right, 90 down)."""
        steps = 28
        angles = [math.radians(start + (end - start) * k / steps) for k in range(steps + 1)]
        self.polygon([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles], colour)

    def arc(self, x: float, y: float, rx: float, ry: float, start: float, end: float, colour, width) -> None:
        steps = 14
        angles = [math.radians(start + (end - start) * k / steps) for k in range(steps + 1)]
        self.line([(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles], colour, width)
