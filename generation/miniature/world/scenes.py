"""Scenes: a person in clothes, doing something, in a place; and the masks that go with the picture.

A scene is drawn from a seed. Seeds from ``HELD_OUT`` on are for measuring only: nothing is ever trained on
them.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass

from PIL import Image, ImageChops, ImageFilter

from generation.miniature.world import joints, people, places
from generation.miniature.world.joints import Pose
from generation.miniature.world.pen import SCENE, Colour, Pen, Point, View, grow, mix, shade
from generation.miniature.world.people import COLOURS, GARMENTS, TROUSERS, Person
from generation.miniature.world.places import Place
from generation.poses import openpose

HELD_OUT = 1_000_000


@dataclass(frozen=True)
class Scene:
    person: Person
    place: Place
    action: str
    shot: str
    pose: Pose
    garment: str
    colour: str
    trousers: Colour

    @property
    def clothes(self) -> str:
        """What a visitor would type as details, such as "a red coat"."""
        return f"{'an' if self.colour[0] in 'aeiou' else 'a'} {self.colour} {self.garment}"


def random_scene(seed: int, person: Person | None = None, shot: str | None = None) -> Scene:
    """The scene of this seed; ``person`` and ``shot`` may be fixed."""
    rng = random.Random(f"scene {seed}")
    person = person or people.random_person(seed)
    drawn_shot = rng.choice(joints.SHOT_TYPES)
    shot = shot or drawn_shot
    action = rng.choice(tuple(joints.ACTIONS))
    pose = joints.make_pose(joints.ACTIONS[action], shot, person.age, person.gender, rng, rng.random() < 0.5)
    garments = GARMENTS if person.gender == "woman" else GARMENTS[:3]
    return Scene(
        person=person,
        place=places.random_place(seed),
        action=action,
        shot=shot,
        pose=pose,
        garment=rng.choice(garments),
        colour=rng.choice(tuple(COLOURS)),
        trousers=rng.choice(TROUSERS),
    )


def draw_scene(scene: Scene, view: View | None = None) -> Image.Image:
    """The picture, RGB, ``view.pixels`` square (256 by default)."""
    pen = Pen(view or View())
    places.draw_place(pen, scene.place)
    draw_figure(pen, scene)
    return pen.picture()


def draw_background(scene: Scene, view: View | None = None) -> Image.Image:
    """The same place with nobody in it."""
    pen = Pen(view or View())
    places.draw_place(pen, scene.place)
    return pen.picture()


class _Stencil(Pen):
    """A pen that draws everything white: the figure's silhouette."""

    def __init__(self, view: View):
        super().__init__(view, "L", 0)

    def polygon(self, points, colour) -> None:
        super().polygon(points, 255)

    def line(self, points, colour, width: float) -> None:
        super().line(points, 255, width)

    def ellipse(self, centre: Point, rx: float, ry: float, colour) -> None:
        super().ellipse(centre, rx, ry, 255)


def silhouette(scene: Scene, view: View | None = None) -> Image.Image:
    """Mode L, 255 where the figure is."""
    stencil = _Stencil(view or View())
    draw_figure(stencil, scene)
    return stencil.picture()


def subject_mask(scene: Scene, margin: int = 9) -> Image.Image:
    """Mode L, 255 where the subject may be painted: the silhouette and ``margin`` pixels around it."""
    grown = grow(silhouette(scene), margin)
    return grown.filter(ImageFilter.GaussianBlur(3)).point(lambda v: 255 if v > 100 else 0)


def face_mask(scene: Scene, view: View | None = None) -> Image.Image:
    """Mode L, 255 on face, ears and the hair over the forehead: where the readers of the measures look.

    What is painted anew is the whole head, see ``head_mask``.
    """
    pen = Pen(view or View(), "L", 0)
    half = scene.pose.head_half
    x, y = scene.pose.head
    pen.ellipse((x, y - 0.12 * half), 1.08 * half, 1.3 * half, 255)
    return pen.picture().point(lambda v: 255 if v > 127 else 0)


def head_silhouette(scene: Scene, view: View | None = None, person: Person | None = None) -> Image.Image:
    """Mode L, 255 on the head with its hair and the upper neck; ``person`` instead of the scene's own."""
    stencil = _Stencil(view or View())
    _draw_head_and_neck(stencil, scene, person or scene.person)
    return stencil.picture().point(lambda v: 255 if v > 127 else 0)


def head_mask(scene: Scene, view: View | None = None) -> Image.Image:
    """Mode L, 255 where any visitor's head may be painted: room for every hair style, and the upper neck."""
    view, mask = view or View(), None
    for style in ("long", "bun", "curly"):
        anybody = dataclasses.replace(scene.person, hair_style=style, hair_volume=0.8, face_width=1.0)
        drawn = head_silhouette(scene, view, anybody)
        mask = ImageChops.lighter(mask, drawn) if mask else drawn
    return grow(mask, max(1, round(0.08 * scene.pose.head_half * view.scale)))


def skeleton(scene: Scene) -> Image.Image:
    """The OpenPose picture of the scene's pose, 256x256."""
    return openpose.draw(scene.pose.visible(), (SCENE, SCENE))


# --- the figure -------------------------------------------------------------------------------------------


def draw_figure(pen: Pen, scene: Scene) -> None:
    """The person from back to front: hair behind, legs, body, neck, head, and the arms over all."""
    pose, person, unit = scene.pose, scene.person, scene.pose.height
    joints = pose.joints
    people.draw_back_hair(pen, person, pose.head, pose.head_half, pose.tilt)
    for hip, knee, ankle in (
        (openpose.R_HIP, openpose.R_KNEE, openpose.R_ANKLE),
        (openpose.L_HIP, openpose.L_KNEE, openpose.L_ANKLE),
    ):
        _draw_leg(pen, scene, joints[hip], joints[knee], joints[ankle])
    neck, chest = joints[openpose.NECK], shade(COLOURS[scene.colour], 1.0)
    _draw_body(pen, scene, chest)
    pen.taper(
        pose.head,
        (neck[0], neck[1] + 0.015 * unit),
        shade(person.skin_colour, 0.82),
        0.075 * unit,
        0.07 * unit,
    )
    people.draw_head(pen, person, pose.head, pose.head_half, pose.tilt)
    for shoulder, elbow, wrist in (
        (openpose.R_SHOULDER, openpose.R_ELBOW, openpose.R_WRIST),
        (openpose.L_SHOULDER, openpose.L_ELBOW, openpose.L_WRIST),
    ):
        _draw_arm(pen, scene, joints[shoulder], joints[elbow], joints[wrist])


def _draw_head_and_neck(pen: Pen, scene: Scene, person: Person) -> None:
    """What belongs to the head: hair behind it, the upper half of the neck, the head itself."""
    pose, unit = scene.pose, scene.pose.height
    (x, y), (neck_x, neck_y) = pose.head, pose.joints[openpose.NECK]
    people.draw_back_hair(pen, person, pose.head, pose.head_half, pose.tilt)
    pen.taper(
        (x, y), ((x + neck_x) / 2, 0.25 * y + 0.75 * neck_y), person.skin_colour, 0.075 * unit, 0.07 * unit
    )
    people.draw_head(pen, person, pose.head, pose.head_half, pose.tilt)


def _outlined(
    pen: Pen, a: Point, b: Point, colour: Colour, width_a: float, width_b: float, edge: float
) -> None:
    pen.taper(a, b, shade(colour, 0.68), width_a + edge, width_b + edge)
    pen.taper(a, b, colour, width_a, width_b)


def _draw_leg(pen: Pen, scene: Scene, hip: Point, knee: Point, ankle: Point) -> None:
    unit = scene.pose.height
    bare = scene.garment == "dress"
    colour = scene.person.skin_colour if bare else scene.trousers
    edge = 0.012 * unit
    thick = 0.085 if scene.person.gender == "man" else 0.078
    _outlined(pen, knee, ankle, colour, (thick - 0.02) * unit, 0.048 * unit, edge)
    _outlined(pen, hip, knee, colour, (thick + 0.012) * unit, (thick - 0.02) * unit, edge)
    side = 1 if hip[0] > scene.pose.joints[openpose.NECK][0] else -1
    shoe = mix((60, 46, 40), (30, 30, 36), 0.5)
    pen.ellipse((ankle[0] + side * 0.012 * unit, ankle[1] + 0.018 * unit), 0.042 * unit, 0.024 * unit, shoe)


def _draw_body(pen: Pen, scene: Scene, colour: Colour) -> None:
    joints, unit = scene.pose.joints, scene.pose.height
    (lx, ly), (rx, ry) = joints[openpose.L_SHOULDER], joints[openpose.R_SHOULDER]
    (lhx, lhy), (rhx, rhy) = joints[openpose.L_HIP], joints[openpose.R_HIP]
    wide = 0.034 * unit
    neck_y, waist_y = joints[openpose.NECK][1], ly + 0.6 * (lhy - ly)
    waist = 0.012 * unit if scene.person.gender == "woman" else 0.028 * unit
    left_hip, right_hip = lhx + wide, rhx - wide
    hem = lhy + 0.025 * unit
    outline = [(rx - 0.02 * unit, ry + 0.01 * unit), (rx + 0.03 * unit, neck_y - 0.012 * unit)]
    outline += [(lx - 0.03 * unit, neck_y - 0.012 * unit), (lx + 0.02 * unit, ly + 0.01 * unit)]
    left_side = [(lhx + waist, waist_y), (left_hip, lhy), (left_hip, hem)]
    right_side = [(right_hip, hem), (right_hip, rhy), (rhx - waist, waist_y)]
    if scene.garment == "coat":
        left_side[-1], right_side[0] = (
            (left_hip + 0.02 * unit, lhy + 0.14 * unit),
            (right_hip - 0.02 * unit, rhy + 0.14 * unit),
        )
    elif scene.garment == "dress":
        left_side[-1], right_side[0] = (
            (left_hip + 0.07 * unit, lhy + 0.19 * unit),
            (right_hip - 0.07 * unit, rhy + 0.19 * unit),
        )
    dark = shade(colour, 0.68)
    body = outline + left_side + right_side
    pen.polygon(body, colour)
    pen.line([*body, body[0]], dark, 0.012 * unit)
    middle = (lhx + rhx) / 2
    if scene.garment == "coat":
        pen.line([(middle, neck_y + 0.02 * unit), (middle, lhy + 0.14 * unit)], dark, 0.012 * unit)
        for k in range(3):
            pen.ellipse(
                (middle + 0.026 * unit, neck_y + (0.09 + 0.07 * k) * unit), 0.01 * unit, 0.01 * unit, dark
            )
    elif scene.garment == "sweater":
        pen.line([(right_hip, hem), (left_hip, hem)], dark, 0.026 * unit)
    elif scene.garment == "dress":
        pen.line([(rhx - waist, waist_y), (lhx + waist, waist_y)], dark, 0.022 * unit)


def _draw_arm(pen: Pen, scene: Scene, shoulder: Point, elbow: Point, wrist: Point) -> None:
    unit, skin = scene.pose.height, scene.person.skin_colour
    colour, edge = COLOURS[scene.colour], 0.012 * unit
    long_sleeve = scene.garment in ("sweater", "coat")
    _outlined(pen, elbow, wrist, colour if long_sleeve else skin, 0.052 * unit, 0.042 * unit, edge)
    _outlined(pen, shoulder, elbow, colour if long_sleeve else skin, 0.064 * unit, 0.052 * unit, edge)
    if not long_sleeve:
        cuff = (shoulder[0] + 0.55 * (elbow[0] - shoulder[0]), shoulder[1] + 0.55 * (elbow[1] - shoulder[1]))
        _outlined(pen, shoulder, cuff, colour, 0.072 * unit, 0.074 * unit, edge)
    reach = (wrist[0] - elbow[0], wrist[1] - elbow[1])
    length = max(1e-6, (reach[0] ** 2 + reach[1] ** 2) ** 0.5)
    hand = (wrist[0] + reach[0] / length * 0.02 * unit, wrist[1] + reach[1] / length * 0.02 * unit)
    pen.ellipse(hand, 0.033 * unit, 0.033 * unit, shade(skin, 0.7))
    pen.ellipse(hand, 0.028 * unit, 0.028 * unit, skin)
