"""What is seen in a picture: the words that all detectors share. Positions are in pixels of the picture."""

from __future__ import annotations

from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """``points``: outer and inner corner of the subject's left eye, of the right eye, and the nose's base."""

    box: tuple[float, float, float, float]  # left, top, right, bottom; may reach over the picture's edge
    points: tuple[Point, Point, Point, Point, Point]
    confidence: float  # 0..1

    @property
    def eyes(self) -> tuple[Point, Point]:
        """The middles of the subject's left and right eye."""
        (a, b), (c, d), (e, f), (g, h) = self.points[:4]
        return ((a + c) / 2, (b + d) / 2), ((e + g) / 2, (f + h) / 2)

    @property
    def width(self) -> float:
        return self.box[2] - self.box[0]

    @property
    def centre(self) -> Point:
        return ((self.box[0] + self.box[2]) / 2, (self.box[1] + self.box[3]) / 2)


@dataclass(frozen=True)
class Joint:
    x: float
    y: float
    confidence: float  # 0..1


# The 18 joints in OpenPose's order (see openpose.py), None where one isn't in the picture.
Pose = tuple[Joint | None, ...]
