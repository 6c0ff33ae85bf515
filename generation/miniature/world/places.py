"""Drawn places: ten kinds, each drawn from a seed, in one of three lights. No people here."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from generation.miniature.world.pen import SCENE, Colour, Pen, mix, shade

SKIES: dict[str, tuple[Colour, Colour]] = {
    "sunny": ((84, 164, 236), (206, 234, 250)),
    "cloudy": ((150, 168, 190), (216, 222, 228)),
    "sunset": ((92, 84, 158), (252, 184, 116)),
}
TINTS: dict[str, tuple[Colour, float]] = {
    "sunny": ((255, 250, 230), 0.0),
    "cloudy": ((120, 130, 150), 0.16),
    "sunset": ((246, 140, 70), 0.2),
}
HORIZON = 150.0


@dataclass(frozen=True)
class Place:
    kind: str
    light: str
    seed: int

    @property
    def description(self) -> str:
        return f"{self.light} {DESCRIPTIONS[self.kind]}"


class _Painter:
    """A pen that gives every colour the light of the place."""

    def __init__(self, pen: Pen, light: str, rng: random.Random):
        self.pen, self.rng, self.tint = pen, rng, TINTS[light]

    def lit(self, colour: Colour) -> Colour:
        return mix(colour, *self.tint)

    def band(self, top: float, bottom: float, upper: Colour, lower: Colour) -> None:
        self.pen.gradient(top, bottom, self.lit(upper), self.lit(lower))

    def hills(self, base: float, height: float, colour: Colour, bumps: int = 4) -> None:
        for k in range(bumps + 1):
            x = (k + self.rng.uniform(-0.3, 0.3)) * 256 / bumps
            self.pen.ellipse(
                (x, base), 256 / bumps * 0.85, height * self.rng.uniform(0.6, 1), self.lit(colour)
            )

    def peaks(self, base: float, height: float, colour: Colour, snow: bool) -> None:
        for k in range(4):
            x, top = k * 80 + self.rng.uniform(-20, 20), base - height * self.rng.uniform(0.6, 1)
            half = (base - top) * 0.9
            self.pen.polygon(
                [(x - half, base), (x, top), (x + half, base)], self.lit(shade(colour, 0.9 + 0.06 * k))
            )
            if snow:
                drop = (base - top) * 0.3
                cap = [
                    (x - drop * 0.9, top + drop),
                    (x, top),
                    (x + drop * 0.9, top + drop),
                    (x, top + drop * 0.7),
                ]
                self.pen.polygon(cap, self.lit((246, 248, 252)))

    def block(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        self.pen.rectangle(left, top, right, bottom, self.lit(colour))

    def blob(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        self.pen.ellipse((x, y), rx, ry, self.lit(colour))

    def shape(self, points, colour: Colour) -> None:
        self.pen.polygon(points, self.lit(colour))

    def tree(self, x: float, base: float, size: float, leaves: Colour) -> None:
        self.block(x - size * 0.06, base - size * 0.5, x + size * 0.06, base, (104, 72, 46))
        self.blob(x, base - size * 0.7, size * 0.34, size * 0.36, leaves)
        self.blob(x - size * 0.1, base - size * 0.78, size * 0.2, size * 0.2, shade(leaves, 1.15))

    def fir(self, x: float, base: float, size: float, leaves: Colour) -> None:
        self.block(x - size * 0.04, base - size * 0.2, x + size * 0.04, base, (92, 64, 42))
        for k in range(3):
            y, half = base - size * (0.15 + 0.26 * k), size * (0.3 - 0.07 * k)
            self.shape([(x - half, y), (x, y - size * 0.36), (x + half, y)], shade(leaves, 0.9 + 0.1 * k))

    def house(self, x: float, base: float, width: float, height: float, wall: Colour, roof: Colour) -> None:
        self.block(x, base - height, x + width, base, wall)
        self.shape(
            [
                (x - 3, base - height),
                (x + width / 2, base - height - width * 0.4),
                (x + width + 3, base - height),
            ],
            roof,
        )
        for k in range(max(1, int(width // 16))):
            left = x + 5 + k * 15
            self.block(left, base - height * 0.75, left + 7, base - height * 0.5, (84, 96, 116))
        self.block(x + width * 0.4, base - height * 0.35, x + width * 0.6, base, shade(wall, 0.55))


def _beach(p: _Painter) -> None:
    p.band(HORIZON - 12, 190, (24, 128, 186), (96, 204, 208))
    p.band(186, 258, (238, 214, 158), (222, 190, 128))
    p.blob(p.rng.uniform(60, 200), 188, 140, 6, (244, 246, 240))
    x = p.rng.choice((28.0, 226.0))
    for k in range(6):
        p.block(x - 3 + k * 0.8, 210 - k * 17, x + 4 + k * 0.8, 228 - k * 17, (134, 96, 60))
    for dx, dy in ((-30, 4), (-24, -14), (0, -20), (26, -12), (32, 6)):
        p.shape(
            [(x + 4, 110), (x + 4 + dx * 0.6, 106 + dy), (x + 4 + dx, 116 + dy), (x + 6, 118)], (40, 132, 62)
        )


def _lake(p: _Painter) -> None:
    p.peaks(HORIZON, 96, (104, 118, 146), snow=True)
    p.band(HORIZON, 206, (62, 128, 166), (120, 182, 200))
    p.hills(214, 14, (70, 130, 66), 3)
    p.band(210, 258, (92, 160, 76), (70, 134, 60))
    for k in range(5):
        p.fir(p.rng.choice((10, 32, 220, 244)) + p.rng.uniform(-6, 6), 206 + k * 2, 50, (36, 92, 62))


def _square(p: _Painter) -> None:
    stone = p.rng.choice(((224, 202, 168), (214, 186, 160), (226, 214, 196)))
    for k in range(5):
        tall = p.rng.uniform(42, 66)
        wall = p.rng.choice(((214, 150, 110), (232, 200, 140), (206, 176, 156), (190, 120, 96)))
        p.house(k * 54 - 8, 176, 46, tall, wall, (166, 82, 58))
    x = p.rng.uniform(80, 150)
    p.block(x, 92, x + 44, 178, stone)
    p.shape([(x - 4, 94), (x + 22, 62), (x + 48, 94)], (150, 76, 56))
    p.blob(x + 22, 118, 9, 9, (92, 104, 130))
    p.block(x + 15, 146, x + 29, 178, (112, 76, 52))
    tower = x - 26
    p.block(tower, 58, tower + 18, 178, shade(stone, 0.94))
    p.shape([(tower - 2, 60), (tower + 9, 34), (tower + 20, 60)], (150, 76, 56))
    p.band(176, 258, (196, 186, 172), (168, 158, 146))
    for k in range(4):
        p.block(-10, 186 + k * 18, 266, 187.4 + k * 18, (150, 140, 130))


def _vineyard(p: _Painter) -> None:
    p.hills(HORIZON + 14, 46, (134, 168, 92), 3)
    p.hills(HORIZON + 26, 34, (112, 150, 72), 4)
    p.band(170, 258, (150, 164, 80), (118, 130, 60))
    for k in range(9):
        x = 128 + (k - 4) * 20
        p.shape(
            [(x, 172), (x + 3, 172), (128 + (k - 4) * 64 + 14, 258), (128 + (k - 4) * 64 - 6, 258)],
            (74, 112, 48),
        )
    x = p.rng.uniform(30, 190)
    p.house(x, 164, 34, 22, (232, 206, 160), (176, 90, 60))
    for k in range(3):
        p.shape([(x - 14 - k * 9, 166), (x - 11 - k * 9, 128), (x - 8 - k * 9, 166)], (46, 86, 54))


def _forest(p: _Painter) -> None:
    p.band(60, 182, (96, 146, 92), (58, 104, 60))
    for k in range(12):
        x = k * 24 + p.rng.uniform(-8, 8)
        p.block(x - 4, 20, x + 4, 190, shade((96, 70, 50), p.rng.uniform(0.8, 1.2)))
    for k in range(9):
        p.blob(
            k * 32 + p.rng.uniform(-10, 10),
            p.rng.uniform(20, 62),
            30,
            26,
            shade((56, 124, 58), 0.85 + 0.04 * k),
        )
    p.band(182, 258, (110, 132, 64), (84, 104, 50))
    p.shape([(112, 182), (144, 182), (196, 258), (60, 258)], (176, 146, 104))


def _desert(p: _Painter) -> None:
    for x, half in ((p.rng.uniform(50, 90), 62), (p.rng.uniform(160, 210), 46)):
        p.shape([(x - half, 168), (x, 168 - half * 1.1), (x + half, 168)], (222, 182, 112))
        p.shape([(x, 168 - half * 1.1), (x + half, 168), (x + half * 0.3, 168)], (186, 146, 88))
    p.band(164, 258, (236, 200, 130), (216, 168, 96))
    p.hills(214, 12, (228, 186, 112), 3)
    p.band(214, 258, (228, 186, 112), (214, 166, 92))


def _snow(p: _Painter) -> None:
    p.peaks(HORIZON + 8, 88, (132, 148, 178), snow=True)
    p.hills(176, 26, (226, 234, 244), 3)
    for k in range(3):
        p.house(14 + k * 84 + p.rng.uniform(-8, 8), 186, 44, 26, (142, 96, 64), (244, 247, 252))
    p.band(184, 258, (240, 245, 252), (214, 226, 242))
    for _ in range(4):
        p.fir(p.rng.choice((8, 72, 178, 246)) + p.rng.uniform(-8, 8), 192, 54, (62, 106, 92))


def _harbour(p: _Painter) -> None:
    p.band(HORIZON - 4, 206, (30, 96, 150), (70, 150, 186))
    x = p.rng.uniform(30, 90)
    for k in range(5):
        p.block(
            x - 10 + k,
            150 - k * 20 - 20,
            x + 10 - k,
            150 - k * 20,
            (236, 238, 240) if k % 2 else (204, 52, 46),
        )
    p.block(x - 7, 38, x + 7, 50, (246, 220, 110))
    p.shape([(x - 10, 38), (x, 26), (x + 10, 38)], (176, 44, 40))
    p.hills(160, 12, (116, 110, 100), 2)
    boat = p.rng.uniform(140, 200)
    p.shape([(boat - 30, 176), (boat + 30, 176), (boat + 20, 190), (boat - 22, 190)], (142, 66, 46))
    p.shape([(boat, 172), (boat, 116), (boat + 30, 168)], (248, 246, 236))
    p.band(206, 258, (178, 150, 116), (146, 118, 88))
    for k in range(10):
        p.block(k * 28 + 4, 206, k * 28 + 5.4, 258, (120, 94, 70))


def _garden(p: _Painter) -> None:
    p.hills(170, 34, (78, 140, 74), 6)
    p.band(166, 258, (128, 190, 92), (96, 162, 72))
    p.shape([(108, 166), (148, 166), (206, 258), (50, 258)], (226, 206, 170))
    p.blob(128, 172, 30, 8, (196, 196, 200))
    p.blob(128, 170, 25, 6, (96, 182, 216))
    p.block(125, 138, 131, 170, (206, 206, 210))
    p.blob(128, 138, 12, 4, (206, 206, 210))
    petals = ((226, 60, 80), (250, 210, 70), (236, 130, 190), (250, 250, 250))
    for k in range(26):
        x = p.rng.uniform(0, 90) if k % 2 else p.rng.uniform(166, 256)
        p.blob(x, p.rng.uniform(186, 250), 3, 3, petals[k % 4])
    for x in (18, 238):
        p.tree(x, 178, 84, (58, 134, 66))


def _street(p: _Painter) -> None:
    fronts = ((226, 120, 100), (240, 196, 110), (120, 176, 190), (232, 222, 204), (176, 146, 196))
    for k in range(4):
        x, top = k * 66 - 6, p.rng.uniform(34, 66)
        wall = p.rng.choice(fronts)
        p.block(x, top, x + 64, 186, wall)
        p.block(x - 2, top - 5, x + 66, top, shade(wall, 0.7))
        for row in range(3):
            for column in range(2):
                left, upper = x + 11 + column * 28, top + 12 + row * 34
                p.block(left, upper, left + 14, upper + 20, (78, 94, 118))
                p.block(left - 5, upper, left - 1, upper + 20, (70, 124, 84))
                p.block(left + 15, upper, left + 19, upper + 20, (70, 124, 84))
    p.band(186, 258, (150, 150, 156), (122, 122, 130))
    p.block(-10, 186, 266, 194, (196, 192, 186))


DESCRIPTIONS = {
    "beach": "beach with a palm tree by the sea",
    "lake": "lake with snowy mountains and fir trees",
    "square": "town square with a church and tower",
    "vineyard": "vineyard hills with a farm house",
    "forest": "forest path between tall trees",
    "desert": "desert with pyramids and sand",
    "snow": "snow village with wooden houses",
    "harbour": "harbour with a lighthouse and a boat",
    "garden": "garden with flowers and a fountain",
    "street": "old street with coloured houses",
}
_PAINTERS: dict[str, Callable[[_Painter], None]] = {
    "beach": _beach,
    "lake": _lake,
    "square": _square,
    "vineyard": _vineyard,
    "forest": _forest,
    "desert": _desert,
    "snow": _snow,
    "harbour": _harbour,
    "garden": _garden,
    "street": _street,
}
KINDS = tuple(DESCRIPTIONS)


def random_place(seed: int) -> Place:
    rng = random.Random(f"place {seed}")
    return Place(rng.choice(KINDS), rng.choice(tuple(SKIES)), seed)


def draw_place(pen: Pen, place: Place) -> None:
    """Paint the whole picture of ``pen`` with the place; the same place is the same picture."""
    rng = random.Random(f"{place.kind} {place.seed}")
    upper, lower = SKIES[place.light]
    pen.rectangle(-SCENE, -SCENE, 2 * SCENE, 0, upper)
    pen.gradient(-2, 186, upper, lower)
    if place.light == "sunset":
        pen.ellipse((rng.uniform(40, 216), HORIZON - 22), 20, 20, (255, 236, 190))
    else:
        for _ in range(4):
            x, y = rng.uniform(0, 256), rng.uniform(16, 70)
            for dx, size in ((-14, 9), (0, 13), (14, 9)):
                pen.ellipse((x + dx, y), size * 1.3, size * 0.7, mix(lower, (255, 255, 255), 0.7))
    _PAINTERS[place.kind](_Painter(pen, place.light, rng))
