"""Masks from a pose alone: where its subject and its head may be painted. Knows no Django and no torch.

The skeleton gives the places of the bones, and the proportions of a body give its thickness around them.
Clothes and hair are not known. So the masks leave room for a skirt, a coat and long hair. Lengths are given
as shares of the standing body's height. For the head, the unit is half of the head's height from chin to
crown. benchmarks/masks.py measures both masks against drawn people.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from generation.poses.openpose import (
    L_ANKLE,
    L_EAR,
    L_ELBOW,
    L_EYE,
    L_HIP,
    L_KNEE,
    L_SHOULDER,
    L_WRIST,
    NECK,
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
from generation.vision.types import Point

Joints = Sequence[Point | None]

# What each seen length is of the height at most: limbs that point at the viewer look shorter, never longer.
LENGTHS = {
    (R_SHOULDER, L_SHOULDER): 0.236, (NECK, NOSE): 0.125, (NECK, R_HIP): 0.294, (NECK, L_HIP): 0.294,
    (R_SHOULDER, R_ELBOW): 0.16, (L_SHOULDER, L_ELBOW): 0.16, (R_ELBOW, R_WRIST): 0.145,
    (L_ELBOW, L_WRIST): 0.145, (R_HIP, R_KNEE): 0.235, (L_HIP, L_KNEE): 0.235, (R_KNEE, R_ANKLE): 0.23,
    (L_KNEE, L_ANKLE): 0.23,
}  # fmt: skip
# Likewise of the head's half height, where two of its joints are seen.
HEAD_LENGTHS = {(R_EAR, L_EAR): 1.45, (R_EYE, L_EYE): 0.63, (R_EAR, NOSE): 0.95, (L_EAR, NOSE): 0.95}
HEAD = 0.208  # the head's height, where nothing else is seen
HEAD_OF_NECK = 0.9  # half the head's height, of the way from neck to nose, where nothing else is seen
ARMS = ((R_SHOULDER, R_ELBOW, R_WRIST), (L_SHOULDER, L_ELBOW, L_WRIST))
LEGS = ((R_HIP, R_KNEE, R_ANKLE), (L_HIP, L_KNEE, L_ANKLE))
ARM, LEG = (0.15, 0.135), (0.22, 0.215)  # lengths: upper and lower
ARM_RADII, LEG_RADII = (0.064, 0.056, 0.05), (0.074, 0.066, 0.056)  # at the joints, with cloth around
TORSO_LENGTH, TORSO_RADIUS, HIP_OFFSET = 0.285, 0.066, 0.07
HAND, HAND_REACH = 0.056, 0.035
FOOT, FOOT_REACH = 0.062, 0.016
SKIRT_LENGTH, SKIRT_OUT, SKIRT_RADIUS = 0.19, 0.105, 0.024
# Half axes of the ellipse around head and hair, how high its middle is, how far long hair falls and how wide.
HAIR, HAIR_UP, HAIR_BELOW, HAIR_WIDE = (1.45, 1.75), 0.1, 1.5, 1.3
BARE = (0.85, 1.0)  # half axes of a head without hair
# A standing body: x to the right, y down from the neck, as shares of its height, in OpenPose's order.
STANDING = (
    (0, -0.12), (0, 0), (-0.11, 0.01), (-0.13, 0.16), (-0.15, 0.3), (0.11, 0.01), (0.13, 0.16), (0.15, 0.3),
    (-0.068, 0.285), (-0.075, 0.5), (-0.08, 0.72), (0.068, 0.285), (0.075, 0.5), (0.08, 0.72),
    (-0.03, -0.145), (0.03, -0.145), (-0.065, -0.14), (0.065, -0.14),
)  # fmt: skip
TURNS = tuple(math.radians(degrees) for degrees in range(0, 360, 6))


def height_of(joints: Joints) -> float:
    """The height in pixels that this body has when it stands; 0 where too little of it is seen."""
    return max((_between(joints, *pair) / share for pair, share in LENGTHS.items()), default=0.0)


def subject_mask(joints: Joints, size: tuple[int, int]) -> Image.Image:
    """Mode L, 255 where a subject in this pose may be painted; all black where no pose can be made out.

    ``joints``: 18 in OpenPose's order, pixels of a picture of ``size``, None where one isn't seen.
    """
    mask = Image.new("L", size)
    if body := _Body.of(mask, joints):
        body.draw_torso()
        for names, lengths, radii in ((ARMS, ARM, ARM_RADII), (LEGS, LEG, LEG_RADII)):
            for limb in names:
                body.draw_limb(limb, lengths, radii)
        body.draw_head()
    return mask


def face_mask(joints: Joints, size: tuple[int, int]) -> Image.Image:
    """Mode L, 255 on the head: face, room for any visitor's hair, and the upper neck.

    All black where no head is seen.
    """
    head = head_of(joints)
    return head_mask(*head, size) if head else Image.new("L", size)


def head_mask(middle: Point, half: float, turn: float, size: tuple[int, int]) -> Image.Image:
    """``face_mask`` of a head that is known: its middle, half its height in pixels, its turn in radians."""
    mask = Image.new("L", size)
    _draw_head(ImageDraw.Draw(mask), middle, half, turn)
    return mask


def bare_head(middle: Point, half: float, turn: float, size: tuple[int, int]) -> Image.Image:
    """Mode L, 255 on a head without hair."""
    mask = Image.new("L", size)
    _draw_ellipse(ImageDraw.Draw(mask), middle, half, turn, *BARE, 0.0)
    return mask


def guessed(joints: Joints, size: tuple[int, int]) -> tuple[Point, ...]:
    """Where each joint is, or would be if the body stood: a standing body laid over those that are known."""
    known = [k for k, joint in enumerate(joints) if joint]
    body = np.array([complex(x, y) for x, y in STANDING])
    stretch, shift = complex(0.95 * size[1]), complex(size[0] / 2, 0.22 * size[1])
    if len(known) > 1:
        ours, theirs = np.array([complex(*joints[k]) for k in known]), body[known]
        away = theirs - theirs.mean()
        stretch = (away.conj() * (ours - ours.mean())).sum() / (abs(away) ** 2).sum()  # least squares
        shift = ours.mean() - stretch * theirs.mean()
    placed = stretch * body + shift
    return tuple(joints[k] or (float(placed[k].real), float(placed[k].imag)) for k in range(len(joints)))


# --- what the joints tell -----------------------------------------------------------------------------------


def _between(joints: Joints, a: int, b: int) -> float:
    """Pixels between two joints, 0 where one isn't seen."""
    return math.dist(joints[a], joints[b]) if joints[a] and joints[b] else 0.0


def _mean(points: Sequence[Point]) -> Point:
    return (sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points))


def _head_height(joints: Joints) -> float:
    seen = max((_between(joints, *pair) / share for pair, share in HEAD_LENGTHS.items()), default=0.0)
    return 2 * (seen or HEAD_OF_NECK * _between(joints, NECK, NOSE))


def head_of(joints: Joints) -> tuple[Point, float, float] | None:
    """The head's middle, half its height, and its turn in radians; None where it isn't seen."""
    half = _head_height(joints) / 2
    eyes, ears = ([joints[k] for k in pair if joints[k]] for pair in ((R_EYE, L_EYE), (R_EAR, L_EAR)))
    if not half or not (eyes or ears or joints[NOSE]):
        return None
    turn = 0.0
    for right, left in ((R_EAR, L_EAR), (R_EYE, L_EYE)):
        if joints[right] and joints[left]:
            turn = math.atan2(joints[left][1] - joints[right][1], joints[left][0] - joints[right][0])
            if abs(turn) > math.pi / 2:  # seen from behind: left and right have changed places
                turn -= math.copysign(math.pi, turn)
            break
    pairs = [_mean(pair) for pair in (eyes, ears) if pair]
    if pairs:
        return _mean(pairs), half, turn
    x, y = joints[NOSE]
    return (x, y - 0.2 * half), half, turn


def completed(joints: Joints, height: float) -> list[Point | None]:
    """With neck, shoulders and hips where they should be, perhaps outside the picture."""
    known = list(joints)
    right, left = known[R_SHOULDER], known[L_SHOULDER]
    if known[NECK] is None and right and left:
        known[NECK] = _mean([right, left])
    hips = [known[k] for k in (R_HIP, L_HIP) if known[k]]
    neck = known[NECK]
    if neck is None and len(hips) == 2:
        x, y = _mean(hips)
        neck = known[NECK] = (x, y - TORSO_LENGTH * height)
    if neck is None:
        return known
    down = (0.0, 1.0)
    if hips and math.dist(_mean(hips), neck) > 0.1 * height:
        down = _direction(neck, _mean(hips))
    for side, shoulder, hip in ((-1, R_SHOULDER, R_HIP), (1, L_SHOULDER, L_HIP)):
        across = (side * down[1], -side * down[0])
        if known[shoulder] is None:
            known[shoulder] = _moved(neck, across, 0.11 * height)
        if known[hip] is None:
            below = _moved(neck, down, TORSO_LENGTH * height)
            known[hip] = _moved(below, across, HIP_OFFSET * height)
    return known


def _direction(start: Point, end: Point) -> Point:
    length = math.dist(start, end) or 1.0
    return ((end[0] - start[0]) / length, (end[1] - start[1]) / length)


def _moved(point: Point, direction: Point, length: float) -> Point:
    return (point[0] + direction[0] * length, point[1] + direction[1] * length)


# --- drawing ------------------------------------------------------------------------------------------------


def _draw_ellipse(
    draw: ImageDraw.ImageDraw, middle: Point, unit: float, turn: float, rx: float, ry: float, dy: float
) -> None:
    """An ellipse in the head's own axes, ``unit`` pixels each; ``dy``: its middle below the head's."""
    cos, sin = math.cos(turn) * unit, math.sin(turn) * unit
    ring = [(rx * math.cos(k / 32 * math.pi), ry * math.sin(k / 32 * math.pi) + dy) for k in range(64)]
    draw.polygon([(middle[0] + x * cos - y * sin, middle[1] + x * sin + y * cos) for x, y in ring], fill=255)


def draw_taper(
    draw: ImageDraw.ImageDraw, a: Point, b: Point, radius_a: float, radius_b: float, fill: int | tuple = 255
) -> None:
    """A limb with round ends. The radii are pixels."""
    (x, y), (ax, ay), (bx, by) = _direction(a, b), a, b
    outline = [
        _moved(a, (-y, x), radius_a),
        _moved(b, (-y, x), radius_b),
        _moved(b, (y, -x), radius_b),
        _moved(a, (y, -x), radius_a),
    ]
    draw.polygon(outline, fill=fill)
    draw.ellipse((ax - radius_a, ay - radius_a, ax + radius_a, ay + radius_a), fill=fill)
    draw.ellipse((bx - radius_b, by - radius_b, bx + radius_b, by + radius_b), fill=fill)


def _draw_head(draw: ImageDraw.ImageDraw, middle: Point, half: float, turn: float) -> None:
    """The head with room for hair, piled up or long; long hair lies beside the upper neck and over it."""
    _draw_ellipse(draw, middle, half, turn, *HAIR, -HAIR_UP)
    below = _moved(middle, (-math.sin(turn), math.cos(turn)), HAIR_BELOW * half)
    sides = (math.cos(turn), math.sin(turn))
    corners = [_moved(where, sides, sign * HAIR_WIDE * half) for where in (middle, below) for sign in (1, -1)]
    draw.polygon([corners[0], corners[1], corners[3], corners[2]], fill=255)


class _Body:
    """A body, drawn in white. ``joints`` are pixels; radii and lengths are shares of ``height``."""

    def __init__(self, mask: Image.Image, joints: list[Point | None], height: float):
        self.draw, self.size, self.joints, self.height = ImageDraw.Draw(mask), mask.size, joints, height

    @classmethod
    def of(cls, mask: Image.Image, joints: Joints) -> _Body | None:
        """None where too little is seen of it."""
        height = height_of(joints) or _head_height(joints) / HEAD
        return cls(mask, completed(joints, height), height) if height else None

    def taper(self, a: Point, b: Point, radius_a: float, radius_b: float) -> None:
        draw_taper(self.draw, a, b, radius_a * self.height, radius_b * self.height)

    def is_outside(self, point: Point) -> bool:
        return not (0 <= point[0] < self.size[0] and 0 <= point[1] < self.size[1])

    def draw_limb(
        self, names: tuple[int, int, int], lengths: tuple[float, float], radii: tuple[float, float, float]
    ) -> None:
        """Upper and lower part and the end. Where one leads out of the picture, every way out is drawn."""
        points = [self.joints[name] for name in names]
        for a, b, length, radius_a, radius_b in (
            (points[0], points[1], lengths[0], radii[0], radii[1]),
            (points[1], points[2], lengths[1], radii[1], radii[2]),
        ):
            if a and b:
                self.taper(a, b, radius_a, radius_b)
            elif a or b:
                for turn in TURNS:
                    out = _moved(a or b, (math.cos(turn), math.sin(turn)), length * self.height)
                    if self.is_outside(out):
                        self.taper(a or b, out, radius_a if a else radius_b, radius_b if a else radius_a)
        if points[1] and points[2]:
            radius, reach = (FOOT, FOOT_REACH) if names in LEGS else (HAND, HAND_REACH)
            end = _moved(points[2], _direction(points[1], points[2]), reach * self.height)
            self.taper(points[2], end, radii[2], radius)

    def draw_torso(self) -> None:
        corners = [self.joints[k] for k in (R_SHOULDER, L_SHOULDER, L_HIP, R_HIP)]
        if None in corners:
            return
        self.draw.polygon(corners, fill=255)
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            self.taper(a, b, TORSO_RADIUS, TORSO_RADIUS)
        neck, hips = self.joints[NECK], _mean(corners[2:])
        down = _direction(neck, hips)
        hem = [
            _moved(
                _moved(corner, down, SKIRT_LENGTH * self.height),
                (side * down[1], -side * down[0]),
                SKIRT_OUT * self.height,
            )
            for corner, side in ((corners[2], 1), (corners[3], -1))
        ]
        self.draw.polygon([corners[3], corners[2], *hem], fill=255)
        for a, b in ((corners[2], hem[0]), (corners[3], hem[1]), hem):
            self.taper(a, b, SKIRT_RADIUS, SKIRT_RADIUS)

    def draw_head(self) -> None:
        head = head_of(self.joints)
        if head is None:
            return
        _draw_head(self.draw, *head)
        if self.joints[NECK]:
            self.taper(head[0], self.joints[NECK], 0.06, 0.07)
