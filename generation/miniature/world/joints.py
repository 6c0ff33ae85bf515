"""Actions and shot types as 18 OpenPose joints (in the order of generation.poses.openpose).

Joints are (x, y) in scene units, or None where the frame cuts them off.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from generation.miniature.world.pen import SCENE, Point
from generation.poses.openpose import (
    L_ANKLE,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NOSE,
    R_ANKLE,
    R_EAR,
    R_ELBOW,
    R_EYE,
    R_HIP,
    R_KNEE,
    R_SHOULDER,
    R_WRIST,
)

SHOT_TYPES = ("CLS", "MES", "FUS")
# A standing person's height in scene units, from and to, for each shot type.
HEIGHTS = {"CLS": (350.0, 400.0), "MES": (205.0, 228.0), "FUS": (118.0, 146.0)}


@dataclass(frozen=True)
class Action:
    """Limb angles in degrees: 0 hangs down, 90 points outwards, 180 up; (right side, left side)."""

    description: str
    upper_arms: tuple[float, float]
    forearms: tuple[float, float]
    thighs: tuple[float, float] = (5, 5)
    shins: tuple[float, float] = (2, 2)
    thigh_length: float = 1.0  # seen length: less than 1 where a limb points at the viewer
    shin_length: float = 1.0
    lift: float = 0.0  # height above the ground, in body heights


ACTIONS: dict[str, Action] = {
    "standing": Action("standing with arms down", (12, 12), (6, 6)),
    "waving": Action("waving with one hand raised", (118, 12), (168, 6)),
    "jumping": Action(
        "jumping in the air with arms raised", (148, 148), (166, 166), (34, 34), (-24, -24), lift=0.09
    ),
    "running": Action("running with bent arms", (48, 30), (-30, 118), (30, 8), (-38, 4)),
    "walking": Action("walking forward", (26, 16), (4, 26), (17, 2), (-4, 12)),
    "sitting": Action("sitting cross-legged on the ground", (28, 28), (6, 6), (72, 72), (-80, -80)),
    "kneeling": Action("kneeling on the ground", (16, 16), (-12, -12), (13, 13), (24, 24), 0.9, 0.2),
    "pointing": Action("pointing to the side with one arm", (88, 12), (90, 6)),
    "hands on hips": Action("standing with hands on hips", (48, 48), (-52, -52)),
    "arms wide": Action("standing with arms spread wide", (86, 86), (92, 92)),
    "dancing": Action("dancing on one leg", (140, 62), (190, -38), (4, 42), (2, -34)),
    "thinking": Action("thinking with a hand on the chin", (24, 26), (206, -82)),
    "stretching": Action("stretching both arms overhead", (158, 158), (186, 186)),
    "flexing": Action("flexing the muscles of both arms", (88, 88), (172, 172)),
    "saluting": Action("saluting with a hand at the head", (96, 10), (226, 6)),
    "hands folded": Action("standing with hands folded", (20, 20), (-66, -66)),
}


@dataclass(frozen=True)
class Pose:
    """A figure in the frame: all joints, cut off or not, in scene units."""

    joints: tuple[Point, ...]
    height: float  # of the same person standing, scene units
    head: Point
    head_half: float  # half the head's height, scene units
    tilt: float  # of the head, degrees
    ground: float  # y of the ground under the figure

    def visible(self) -> list[Point | None]:
        """The joints as OpenPose would report them: None where the frame cuts them off."""
        return [p if 0 <= p[0] < SCENE and 0 <= p[1] < SCENE else None for p in self.joints]


def make_pose(
    action: Action, shot: str, age: str, gender: str, rng: random.Random | None = None, mirrored: bool = False
) -> Pose:
    """The pose of ``action`` at ``shot``: the plain, centred one, or with ``rng`` one near it."""
    wobble = (lambda spread: rng.uniform(-spread, spread)) if rng else (lambda spread: 0.0)
    low, high = HEIGHTS[shot]
    height = rng.uniform(low, high) if rng else (low + high) / 2
    shoulder, hip = (0.118, 0.066) if gender == "man" else (0.100, 0.070)
    head_half = height * (0.114 if age == "young" else 0.104)
    sides = (1, 0) if mirrored else (0, 1)
    joints: list[Point] = [(0.0, 0.0)] * 18

    def limb(start: Point, side: int, degrees: float, length: float) -> Point:
        angle = math.radians(degrees + wobble(7))
        return (start[0] + (side * 2 - 1) * math.sin(angle) * length, start[1] + math.cos(angle) * length)

    for side, names in enumerate(((R_SHOULDER, R_ELBOW, R_WRIST, R_HIP, R_KNEE, R_ANKLE),
                                  (L_SHOULDER, L_ELBOW, L_WRIST, L_HIP, L_KNEE, L_ANKLE))):  # fmt: skip
        which, sign = sides[side], side * 2 - 1
        a, b, c, d, e, f = names
        joints[a] = (sign * shoulder * height, 0.012 * height)
        joints[b] = limb(joints[a], side, action.upper_arms[which], 0.15 * height)
        joints[c] = limb(joints[b], side, action.forearms[which], 0.135 * height)
        joints[d] = (sign * hip * height, 0.285 * height)
        joints[e] = limb(joints[d], side, action.thighs[which], 0.22 * action.thigh_length * height)
        joints[f] = limb(joints[e], side, action.shins[which], 0.215 * action.shin_length * height)

    tilt = wobble(9)
    lean = math.radians(tilt)
    head = (math.sin(lean) * 0.142 * height, -math.cos(lean) * 0.142 * height)
    for joint, (x, y) in {NOSE: (0, 0.2), R_EYE: (-0.34, -0.06), L_EYE: (0.34, -0.06),
                          R_EAR: (-0.78, 0.05), L_EAR: (0.78, 0.05)}.items():  # fmt: skip
        joints[joint] = (
            head[0] + head_half * (x * math.cos(lean) - y * math.sin(lean)),
            head[1] + head_half * (x * math.sin(lean) + y * math.cos(lean)),
        )

    lowest = max(y for _, y in joints) + 0.035 * height
    if shot == "CLS":
        top = min(y for _, y in joints[14:]) - head_half * 1.3
        ground = 38 + wobble(12) - top + lowest
    elif shot == "MES":
        ground = 246 + wobble(4)
    else:
        ground = 232 + wobble(14)
    dx = SCENE / 2 + (wobble(26) if shot == "MES" else wobble(70) if shot == "FUS" else wobble(16))
    dy = ground - lowest - action.lift * height
    moved = tuple((x + dx, y + dy) for x, y in joints)
    return Pose(moved, height, (head[0] + dx, head[1] + dy), head_half, tilt, ground)
