"""The pose step's underpainting: a figure in flat colours, in the skeleton's pose.

A ControlNet says where the limbs are. But a small UNet loses some of them: an arm ends too early, or the lawn
shows through a leg. So before the last denoising steps a flat figure takes the body's place, and the UNet
paints over it (benchmarks/denoising.md). Its colours and clothes are those of the request, as far as the
request names them.

Lengths are shares of the standing body's height, radii too. Of the head they are shares of half its height.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageChops, ImageDraw

from generation.models.blending import put_in
from generation.models.painter import Painter
from generation.picture.canvas import Canvas
from generation.picture.enlarging import CloseUp
from generation.poses import openpose
from generation.poses.mask_drawing import ARM, ARMS, LEG, LEGS, completed, draw_taper, head_of, height_of
from generation.poses.openpose import L_HIP, L_SHOULDER, NECK, R_HIP, R_SHOULDER
from generation.request import GenerationRequest
from generation.vision import detectors_of
from generation.vision.likeness import Closeup, look_closely
from generation.vision.skin import measure, rgb
from generation.vision.types import Point

Colour = tuple[int, int, int]

# A colour for each word of vision.skin, vision.looks, and for the colours that clothes are said to have.
SKINS = {
    "pale": (255, 224, 196), "light": (238, 192, 150), "tan": (212, 158, 112), "dark": (158, 106, 70),
    "deep": (98, 64, 44),
}  # fmt: skip
HAIR = {
    "black": (30, 26, 26), "brown": (86, 52, 30), "auburn": (146, 82, 36), "blond": (222, 176, 84),
    "red": (190, 74, 38), "grey": (192, 190, 190),
}  # fmt: skip
CLOTHES = {
    "red": (204, 38, 42), "orange": (240, 130, 30), "yellow": (246, 210, 50), "green": (46, 146, 62),
    "teal": (22, 148, 156), "blue": (38, 84, 204), "purple": (122, 50, 168), "pink": (244, 138, 182),
    "white": (244, 244, 242), "black": (36, 36, 42), "brown": (122, 76, 42), "grey": (134, 138, 146),
}  # fmt: skip
TROUSERS = ((54, 60, 90), (70, 66, 64), (110, 96, 76), (42, 44, 52))
SHOES = (46, 38, 38)
SHADE = 0.68  # of a colour at a limb's edge, so that an arm before the body is seen
# Words for clothes that leave arms or legs bare, or fall below the hips.
BARE_ARMS, BARE_LEGS, LONG = r"t-?shirt|top|dress", r"dress|skirt|shorts", r"coat|cape"

ARM_RADII, LEG_RADII = (0.032, 0.026, 0.021), (0.046, 0.031, 0.024)  # at shoulder, elbow, wrist, and so on
SLEEVE_RADIUS, SLEEVE = 0.036, 0.55  # a short sleeve, and where it ends on the upper arm
HAND, HAND_REACH, EDGE = 0.03, 0.02, 0.006
FOOT = (0.035, 0.024)
WAIST, WAIST_OUT, HIPS_OUT, NECK_HALF = 0.6, 0.02, 0.034, 0.03
HEM = {"short": (0.0, 0.025), "long": (0.02, 0.14), "skirt": (0.07, 0.19)}  # outwards, and below the hips
HEAD, CAP = (0.78, 1.0), (0.95, 1.18)  # half axes of the face, and of the hair around it
FINER = 4  # times the canvas's size: it is drawn larger and made smaller, so that its edges are soft


@dataclass(frozen=True)
class Figure:
    """The figure's colours and clothes. ``skin``: None if it is that of the painted head, which the request
    doesn't name. ``hair``: None if it is bald. ``hem``: one of ``HEM``."""

    skin: Colour | None
    hair: Colour | None
    style: str
    clothes: Colour
    trousers: Colour
    bare_arms: bool
    bare_legs: bool
    hem: str


def figure_of(request: GenerationRequest) -> Figure:
    """The figure that the request describes. Colours of hair and clothes that it doesn't name follow from its
    seed."""
    rng = random.Random(f"underpainting {request.seed}")
    _, hair, clothes = (rng.choice(list(table.values())) for table in (SKINS, HAIR, CLOTHES))
    words, looks = request.other_details.lower(), request.looks
    named = re.search(rf"\b({'|'.join(CLOTHES)})\b", words)
    bare_arms, bare_legs, long = (bool(re.search(rf"\b({k})\b", words)) for k in (BARE_ARMS, BARE_LEGS, LONG))
    skirt = bare_legs and "shorts" not in words
    return Figure(
        skin=rgb(request.skin) if request.skin else SKINS.get(request.skin_tone),
        hair=None if looks.get("style") == "bald" else HAIR.get(looks.get("hair", ""), hair),
        style=looks.get("style", ""),
        clothes=CLOTHES[named[1]] if named else clothes,
        trousers=rng.choice(TROUSERS),
        bare_arms=bare_arms,
        bare_legs=bare_legs,
        hem="skirt" if skirt else "long" if long else "short",
    )


def underpainted(figure: Figure, canvas: Canvas, close_up: CloseUp, painter: Painter) -> Painter:
    """The painter that also puts the figure into the painting, outside the face mask, before the denoising
    step at timestep ``profile.underpainting``.

    ``close_up`` is what the painter paints of the canvas. A figure without a skin gets that of the head which
    is painted by then.
    """
    profile = painter.profile

    def draw(painted: Callable[[], Image.Image]) -> Image.Image | None:
        seen = figure
        if figure.skin is None:
            mask = close_up.enlarge(canvas.face_mask)
            seen = with_skin_of(figure, look_closely(painted(), mask, detectors_of(profile)))
        body = draw_underpainting(canvas.background, canvas.skeleton, seen)
        return body and close_up.enlarge(body)

    area = close_up.enlarge(ImageChops.invert(canvas.face_mask))
    on_step = put_in(draw, area, profile.underpainting, painter.generator, painter.on_step)
    return replace(painter, on_step=on_step)


def with_skin_of(figure: Figure, head: Closeup | None) -> Figure:
    """The figure with the skin of a painted head; a medium one where no face is seen in it."""
    if head is None or head.face is None:
        return replace(figure, skin=SKINS["tan"])
    return replace(figure, skin=rgb(measure(head.picture, head.face)))


def draw_underpainting(place: Image.Image, skeleton: Image.Image, figure: Figure) -> Image.Image | None:
    """The place with the figure in it; None where no pose can be made out in the skeleton's picture.

    ``place`` and ``skeleton`` are RGB and of one size. The figure's skin must be known.
    """
    joints = openpose.read(skeleton)
    height = height_of(joints) if joints else 0.0
    if not height:
        return None
    large = place.resize((FINER * place.width, FINER * place.height))
    finer = [joint and (FINER * joint[0], FINER * joint[1]) for joint in joints]
    _Drawing(large, finer, FINER * height, figure).draw()
    return large.resize(place.size, Image.Resampling.LANCZOS)


class _Drawing:
    """Draws a figure from back to front. ``joints`` and ``height`` are pixels."""

    def __init__(self, picture: Image.Image, joints: list[Point | None], height: float, figure: Figure):
        self.pen, self.size = ImageDraw.Draw(picture), picture.size
        self.height, self.figure = height, figure
        self.joints, self.head = completed(joints, height), head_of(joints)

    def draw(self) -> None:
        figure = self.figure
        if self.head and figure.style == "long":
            self.oval((1.0, 1.35), figure.hair, below=0.1)
        for names in LEGS:
            joints = self.leg(*(self.joints[name] for name in names))
            self.limb(*joints, LEG_RADII, figure.skin if figure.bare_legs else figure.trousers)
            self.foot(joints[2])
        self.torso()
        self.draw_head()
        for names in ARMS:
            joints = self.arm(*(self.joints[name] for name in names))
            self.limb(*joints, ARM_RADII, figure.skin if figure.bare_arms else figure.clothes)
            self.sleeve_and_hand(*joints)

    def taper(self, a: Point, b: Point, radius_a: float, radius_b: float, colour: Colour) -> None:
        """A part of a limb, with a darker edge."""
        for edge, fill in ((EDGE, _shade(colour)), (0.0, colour)):
            radii = (self.height * (radius + edge) for radius in (radius_a, radius_b))
            draw_taper(self.pen, a, b, *radii, fill)

    def limb(
        self,
        start: Point | None,
        middle: Point | None,
        end: Point | None,
        radii: tuple[float, float, float],
        colour: Colour,
    ) -> None:
        if middle and end:
            self.taper(middle, end, radii[1], radii[2], colour)
        if start and middle:
            self.taper(start, middle, radii[0], radii[1], colour)

    def leg(self, hip: Point | None, knee: Point | None, ankle: Point | None) -> tuple[Point | None, ...]:
        """The leg's joints. Those that are not in the picture are straight below the joint above them."""
        upper, lower = (share * self.height for share in LEG)
        knee = knee or (hip and (hip[0], hip[1] + upper))
        return hip, knee, ankle or (knee and (knee[0], knee[1] + lower))

    def arm(
        self, shoulder: Point | None, elbow: Point | None, wrist: Point | None
    ) -> tuple[Point | None, ...]:
        """The arm's joints. A lower arm that leads out of the picture takes the shortest way."""
        if elbow and not wrist:
            (x, y), reach = elbow, ARM[1] * self.height
            ways = {
                x: (x - reach, y), self.size[0] - x: (x + reach, y),
                y: (x, y - reach), self.size[1] - y: (x, y + reach),
            }  # fmt: skip
            wrist = ways[min(ways)] if min(ways) < reach else None
        return shoulder, elbow, wrist

    def foot(self, ankle: Point | None) -> None:
        if ankle:
            (x, y), (wide, high) = ankle, (self.height * side for side in FOOT)
            self.pen.ellipse((x - wide, y - high / 2, x + wide, y + 1.5 * high), fill=SHOES)

    def sleeve_and_hand(self, shoulder: Point | None, elbow: Point | None, wrist: Point | None) -> None:
        figure = self.figure
        if figure.bare_arms and shoulder and elbow:
            cuff = _between(shoulder, elbow, SLEEVE)
            self.taper(shoulder, cuff, SLEEVE_RADIUS, SLEEVE_RADIUS, figure.clothes)
        if elbow and wrist:
            reach = 1 + HAND_REACH * self.height / (math.dist(elbow, wrist) or 1.0)
            hand = _between(elbow, wrist, reach)
            self.taper(hand, hand, HAND, HAND, figure.skin)

    def torso(self) -> None:
        """The upper garment: shoulders, waist, hips and hem."""
        neck, *corners = (self.joints[k] for k in (NECK, R_SHOULDER, L_SHOULDER, L_HIP, R_HIP))
        if neck is None or None in corners:
            return
        unit, (right, left, left_hip, right_hip) = self.height, corners
        out, below = HEM[self.figure.hem]

        def beside(point: Point, x: float, y: float = 0.0) -> Point:
            return (point[0] + x * unit, point[1] + y * unit)

        waists = (_between(left, left_hip, WAIST), _between(right, right_hip, WAIST))
        outline = [
            beside(right, -0.02, 0.01), beside((right[0], neck[1]), NECK_HALF, -0.012),
            beside((left[0], neck[1]), -NECK_HALF, -0.012), beside(left, 0.02, 0.01),
            (left_hip[0] + WAIST_OUT * unit, waists[0][1]), beside(left_hip, HIPS_OUT),
            beside(left_hip, HIPS_OUT + out, below), beside(right_hip, -HIPS_OUT - out, below),
            beside(right_hip, -HIPS_OUT), (right_hip[0] - WAIST_OUT * unit, waists[1][1]),
        ]  # fmt: skip
        self.pen.polygon(outline, fill=self.figure.clothes)
        width = max(1, round(2 * EDGE * unit))
        self.pen.line([*outline, outline[0]], _shade(self.figure.clothes), width, joint="curve")

    def draw_head(self) -> None:
        figure = self.figure
        if self.head is None:
            return
        middle, half, _ = self.head
        if neck := self.joints[NECK]:
            draw_taper(self.pen, middle, neck, 0.3 * half, 0.3 * half, _shade(figure.skin, 0.9))
        if figure.hair:
            self.oval(CAP, figure.hair, below=-0.29, high=0.89)
        self.oval(HEAD, figure.skin, below=0.2 if figure.hair else 0.0, high=0.8 if figure.hair else 1.0)

    def oval(self, axes: tuple[float, float], colour: Colour, below: float, high: float = 1.0) -> None:
        """An ellipse, ``below`` the head's middle; ``high``: times its upright axis."""
        (x, y), half, _ = self.head
        wide, tall, y = axes[0] * half, axes[1] * half * high, y + below * half
        self.pen.ellipse((x - wide, y - tall, x + wide, y + tall), fill=colour)


def _shade(colour: Colour, share: float = SHADE) -> Colour:
    return tuple(round(share * value) for value in colour)


def _between(a: Point, b: Point, share: float) -> Point:
    return (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
