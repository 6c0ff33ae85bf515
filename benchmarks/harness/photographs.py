"""Real photographs with free licences (see pictures/NOTICE), and what may have happened to a photo."""

from __future__ import annotations

import functools
import io
from pathlib import Path

import skimage
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from generation.miniature import demo_content
from generation.miniature import detectors as drawn_detectors
from generation.miniature.world import people, scenes
from generation.vision import real_people

PICTURES = Path(__file__).parent / "pictures"
SKIMAGE = Path(skimage.__path__[0]) / "data"
DETECTORS = {"photographs": real_people, "drawn": drawn_detectors}


@functools.cache
def obama() -> Image.Image:
    return Image.open(PICTURES / "obama.jpg").convert("RGB")


@functools.cache
def hopper() -> Image.Image:
    return Image.open(PICTURES / "hopper.jpg").convert("RGB")


@functools.cache
def astronaut() -> Image.Image:
    return Image.open(SKIMAGE / "astronaut.png").convert("RGB")


@functools.cache
def drawn(seed: int) -> list[Image.Image]:
    """Five photos of a drawn person whom nothing was trained on."""
    return demo_content.photos_of(people.random_person(scenes.HELD_OUT + seed), scenes.HELD_OUT + seed)


def portrait(world: str) -> Image.Image:
    return obama() if world == "photographs" else drawn(3)[0]


def stranger(world: str) -> Image.Image:
    return hopper() if world == "photographs" else drawn(8)[0]


def faceless(world: str) -> Image.Image:
    if world == "photographs":
        return Image.open(SKIMAGE / "coffee.png").convert("RGB")
    return demo_content.draw_empty_place("harbour", "sunny", 3)


def on_canvas(picture: Image.Image, world: str, face_width: float) -> Image.Image:
    """The picture on a larger plain one, so small that its face has ``face_width`` pixels."""
    scale = face_width / DETECTORS[world].find_faces(picture)[0].width
    small = picture.resize(
        (round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BOX
    )
    canvas = Image.new("RGB", (900, 900), (120, 130, 125))
    canvas.paste(small, (300, 900 - small.height))
    return canvas


def beside(picture: Image.Image, other: Image.Image, share: float) -> Image.Image:
    """Both in one picture, the other ``share`` as high."""
    height = round(picture.height * share)
    small = other.resize((round(other.width * height / other.height), height))
    both = Image.new("RGB", (picture.width + small.width, picture.height), (120, 130, 125))
    both.paste(picture, (0, 0))
    both.paste(small, (picture.width, picture.height - height))
    return both


def cut_off(picture: Image.Image, world: str, share: float) -> Image.Image:
    """Without what is left of ``share`` of the face's width."""
    face = DETECTORS[world].find_faces(picture)[0]
    return picture.crop((round(face.box[0] + share * face.width), 0, picture.width, picture.height))


def lit(picture: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(picture).enhance(factor)


def blurred(picture: Image.Image, world: str, share: float) -> Image.Image:
    """Out of focus by ``share`` of the face's width."""
    width = DETECTORS[world].find_faces(picture)[0].width
    return picture.filter(ImageFilter.GaussianBlur(share * width))


def in_sunglasses(picture: Image.Image) -> Image.Image:
    face = real_people.find_faces(picture)[0]
    dark = picture.copy()
    draw = ImageDraw.Draw(dark)
    for outer, inner in (face.points[0:2], face.points[2:4]):
        x, y = (outer[0] + inner[0]) / 2, (outer[1] + inner[1]) / 2
        reach = 0.16 * face.width
        draw.ellipse((x - reach, y - 0.8 * reach, x + reach, y + 0.8 * reach), fill=(18, 18, 22))
    return dark


def saved(picture: Image.Image, kind: str = "JPEG", **options) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()
