"""Drawn people: who a person is (their features) and how their head is drawn.

A person is one set of features, drawn from a seed. Nothing here knows of poses or places.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from generation.miniature.world.pen import Colour, Frame, Pen, Point, mix, shade

AGES = ("young", "adult", "old")
GENDERS = ("man", "woman")
HAIR_STYLES = ("short", "parted", "curly", "long", "bun", "bald")
SKIN_TONES = [(255, 224, 196), (241, 194, 150), (214, 158, 110), (160, 106, 68), (98, 62, 42)]
HAIR_TONES = [(28, 22, 22), (86, 50, 26), (150, 82, 30), (226, 176, 74), (196, 66, 32)]
GREY = (206, 206, 210)
IRIS_TONES = [(60, 34, 20), (38, 96, 58), (42, 104, 186)]

COLOURS: dict[str, Colour] = {
    "red": (206, 36, 40),
    "orange": (242, 130, 24),
    "yellow": (248, 212, 40),
    "green": (44, 148, 60),
    "teal": (18, 150, 158),
    "blue": (36, 82, 206),
    "purple": (122, 48, 170),
    "pink": (246, 136, 182),
    "white": (246, 246, 244),
    "black": (34, 34, 40),
    "brown": (122, 74, 38),
    "grey": (134, 138, 146),
}
GARMENTS = ("t-shirt", "sweater", "coat", "dress")
TROUSERS: list[Colour] = [(52, 60, 92), (70, 66, 62), (112, 96, 74), (40, 44, 52)]


@dataclass(frozen=True)
class Person:
    """One person's features. Numbers without a unit are 0..1 unless said otherwise."""

    age: str
    gender: str
    skin: float  # light to dark
    hair_tone: float  # black, brown, auburn, blond, red
    hair_style: str
    hair_volume: float
    face_width: float
    jaw: float  # pointed to square
    eye_size: float
    eye_spacing: float
    iris: float  # brown, green, blue
    brow_weight: float
    brow_tilt: float
    nose_length: float
    nose_width: float
    mouth_width: float
    lips: float
    beard: float  # 0 none, below 0.5 moustache, above it a full beard
    glasses: float  # 0 none, below 0.5 round, above it square
    freckles: float

    @property
    def skin_colour(self) -> Colour:
        return _along(SKIN_TONES, self.skin)

    @property
    def hair_colour(self) -> Colour:
        natural = _along(HAIR_TONES, self.hair_tone)
        return mix(natural, GREY, 0.85) if self.age == "old" else natural


def _along(tones: list[Colour], share: float) -> Colour:
    """The colour at ``share`` (0..1) of the way through ``tones``."""
    place = share * (len(tones) - 1)
    index = min(int(place), len(tones) - 2)
    return mix(tones[index], tones[index + 1], place - index)


def random_person(seed: int, age: str | None = None, gender: str | None = None) -> Person:
    """The person of this seed. ``age`` and ``gender`` may be fixed, the rest follows from the seed."""
    rng = random.Random(f"person {seed}")
    drawn_age, drawn_gender = rng.choice(AGES), rng.choice(GENDERS)
    age, gender = age or drawn_age, gender or drawn_gender
    styles = (
        ("long", "bun", "curly", "long", "parted")
        if gender == "woman"
        else ("short", "parted", "curly", "bald")
    )
    bearded = rng.random() < 0.45
    beard = 0.2 + 0.8 * rng.random()
    glasses = rng.random() if rng.random() < 0.35 else 0.0
    return Person(
        age=age,
        gender=gender,
        skin=rng.random(),
        hair_tone=rng.random(),
        hair_style=rng.choice(styles),
        hair_volume=rng.random(),
        face_width=rng.random(),
        jaw=rng.random(),
        eye_size=rng.random(),
        eye_spacing=rng.random(),
        iris=rng.random(),
        brow_weight=rng.random(),
        brow_tilt=rng.random(),
        nose_length=rng.random(),
        nose_width=rng.random(),
        mouth_width=rng.random(),
        lips=rng.random(),
        beard=beard if bearded and gender == "man" and age != "young" else 0.0,
        glasses=glasses,
        freckles=rng.random() if rng.random() < 0.3 else 0.0,
    )


def head_half_width(person: Person) -> float:
    """Half the face's width in units of half its height."""
    return 0.68 + 0.2 * person.face_width


def head_outline(person: Person) -> list[Point]:
    """The face's outline, in units of half the head's height; (0, 0) is its middle, y points down."""
    w, jaw = head_half_width(person), 0.35 + 0.5 * person.jaw
    right = [
        (0, -1),
        (0.55 * w, -0.93),
        (0.9 * w, -0.62),
        (w, -0.1),
        (0.97 * w, 0.3),
        (jaw * w, 0.82),
        (0.2, 1.0),
    ]
    return right + [(-x, y) for x, y in reversed(right)]


def draw_back_hair(pen: Pen, person: Person, centre: Point, half: float, tilt: float) -> None:
    """What of the hair is behind head and shoulders."""
    head, w, hair = Frame(pen, centre, half, tilt), head_half_width(person), shade(person.hair_colour, 0.82)
    more = 0.12 + 0.16 * person.hair_volume
    if person.hair_style == "long":
        head.ellipse(0, -0.2, w + more, 1.0 + more, hair)
        head.polygon(
            [(-w - more, -0.2), (w + more, -0.2), (w + more * 1.4, 1.35), (-w - more * 1.4, 1.35)], hair
        )
    elif person.hair_style == "bun":
        head.ellipse(0, -1.28, 0.3 + more, 0.26 + more, hair)
        head.ellipse(0, -0.2, w + 0.08, 0.95, hair)
    elif person.hair_style == "curly":
        for x, y in ((-1, -0.5), (1, -0.5), (-1.02, 0), (1.02, 0), (-0.75, -0.9), (0.75, -0.9), (0, -1.08)):
            head.ellipse(x * (w + 0.02), y, 0.24 + more, 0.24 + more, hair)


def draw_head(pen: Pen, person: Person, centre: Point, half: float, tilt: float, smile: float = 0.5) -> None:
    """The head seen from the front; ``half`` is half its height in units, ``tilt`` in degrees."""
    head, w, skin = Frame(pen, centre, half, tilt), head_half_width(person), person.skin_colour
    for side in (-1, 1):
        head.ellipse(side * w * 0.99, 0.05, 0.12, 0.2, shade(skin, 0.88))
    head.polygon([(1.03 * x, 1.03 * y) for x, y in head_outline(person)], shade(skin, 0.72))
    head.polygon(head_outline(person), skin)
    for side in (-1, 1):
        head.ellipse(side * w * 0.55, 0.34, 0.2, 0.13, mix(skin, (226, 84, 84), 0.18))
    if person.freckles:
        for x, y in ((-0.42, 0.2), (-0.3, 0.3), (-0.2, 0.2), (0.42, 0.2), (0.3, 0.3), (0.2, 0.2)):
            head.ellipse(x, y, 0.03, 0.03, shade(skin, 0.62))
    _draw_beard(head, person, w)
    _draw_eyes(head, person)
    _draw_nose_and_mouth(head, person, smile)
    if person.age == "old":
        lines = shade(skin, 0.68)
        for y in (-0.62, -0.5):
            head.line([(-0.3, y), (0.3, y)], lines, 0.035)
        for side in (-1, 1):
            head.line([(side * 0.3, 0.34), (side * 0.44, 0.62)], lines, 0.04)
    _draw_front_hair(head, person, w)
    _draw_glasses(head, person)


def eye_place(person: Person) -> float:
    return 0.28 + 0.12 * person.eye_spacing


def _draw_eyes(head: Frame, person: Person) -> None:
    size = 0.11 + 0.06 * person.eye_size + (0.03 if person.age == "young" else 0.0)
    x, dark = eye_place(person), (34, 26, 24)
    for side in (-1, 1):
        head.ellipse(side * x, -0.06, size * 1.25, size, (252, 252, 252))
        head.ellipse(side * x, -0.05, size * 0.72, size * 0.86, _along(IRIS_TONES, person.iris))
        head.ellipse(side * x, -0.05, size * 0.36, size * 0.44, dark)
        head.arc(
            side * x,
            -0.05,
            size * 1.25,
            size * 1.05,
            190,
            350,
            dark,
            0.09 if person.gender == "woman" else 0.05,
        )
        rise = 0.1 * (person.brow_tilt - 0.5)
        inner, outer = (side * (x - 0.17), -0.32 - rise), (side * (x + 0.18), -0.32 + rise)
        head.line(
            [inner, (side * x, -0.37), outer],
            shade(person.hair_colour, 0.8),
            0.05 + 0.08 * person.brow_weight,
        )


def _draw_nose_and_mouth(head: Frame, person: Person, smile: float) -> None:
    shadow = shade(person.skin_colour, 0.7)
    tip, wide = 0.2 + 0.14 * person.nose_length, 0.06 + 0.1 * person.nose_width
    head.line([(0.02, 0.0), (wide * 0.8, tip - 0.04), (-wide * 0.6, tip)], shadow, 0.05)
    reach, lift = 0.18 + 0.16 * person.mouth_width, 0.1 * smile
    lip = mix(person.skin_colour, (186, 36, 52), 0.75 if person.gender == "woman" else 0.4)
    thick = 0.05 + 0.09 * person.lips * (1.0 if person.gender == "woman" else 0.6)
    head.line([(-reach, 0.55 - lift), (0, 0.58), (reach, 0.55 - lift)], lip, thick)


def _draw_beard(head: Frame, person: Person, w: float) -> None:
    if not person.beard:
        return
    colour, reach = shade(person.hair_colour, 0.9), 0.26 + 0.14 * person.mouth_width
    if person.beard >= 0.5:
        long = 1.0 + 0.3 * (person.beard - 0.5)
        head.polygon(
            [
                (-w, 0.05),
                (-w * 0.8, 0.35),
                (-reach, 0.38),
                (0, 0.34),
                (reach, 0.38),
                (w * 0.8, 0.35),
                (w, 0.05),
            ]
            + [
                (w * 0.95, 0.45),
                (w * 0.6, 0.9),
                (0.2, long),
                (-0.2, long),
                (-w * 0.6, 0.9),
                (-w * 0.95, 0.45),
            ],
            colour,
        )
    else:
        head.line([(-reach, 0.48), (0, 0.4), (reach, 0.48)], colour, 0.08 + 0.2 * person.beard)


def _draw_front_hair(head: Frame, person: Person, w: float) -> None:
    hair, more = person.hair_colour, 0.06 + 0.14 * person.hair_volume
    if person.hair_style == "bald":
        for side in (-1, 1):
            head.ellipse(side * w * 0.98, -0.18, 0.1, 0.26, hair)
        return
    top = -0.52 if person.hair_style != "bun" else -0.62
    cap = [(-w - more, 0.0), (-w - more * 0.9, -0.55), (-0.62 * w, -1.0 - more), (0, -1.1 - more)]
    cap += [(0.62 * w, -1.0 - more), (w + more * 0.9, -0.55), (w + more, 0.0), (w * 0.88, -0.16)]
    if person.hair_style == "parted":
        cap += [(0.7 * w, -0.42), (-0.32 * w, -0.74), (-0.6 * w, -0.4), (-w * 0.88, -0.16)]
    elif person.hair_style == "long":
        cap += [(0.62 * w, -0.42), (0.04, -0.82), (-0.62 * w, -0.42), (-w * 0.88, -0.16)]
    else:
        cap += [(0.7 * w, top), (0, top - 0.06), (-0.7 * w, top), (-w * 0.88, -0.16)]
    head.polygon(cap, hair)
    if person.hair_style == "curly":
        for k in range(5):
            head.ellipse((k - 2) * 0.38 * w, -0.82 - 0.1 * (2 - abs(k - 2)), 0.24, 0.22, hair)


def _draw_glasses(head: Frame, person: Person) -> None:
    if not person.glasses:
        return
    x, dark = eye_place(person), (32, 32, 38)
    for side in (-1, 1):
        if person.glasses < 0.5:
            head.arc(side * x, -0.05, 0.25, 0.25, 0, 360, dark, 0.055)
        else:
            frame = [(side * x - 0.25, -0.24), (side * x + 0.25, -0.24), (side * x + 0.25, 0.15)]
            head.line([*frame, (side * x - 0.25, 0.15), frame[0]], dark, 0.055)
        head.line([(side * (x + 0.25), -0.08), (side * head_half_width(person), -0.12)], dark, 0.05)
    head.line([(-x + 0.25, -0.08), (x - 0.25, -0.08)], dark, 0.05)
