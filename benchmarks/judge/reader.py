"""The judge: a second reader of drawn faces, which measures and never chooses. No torch.

A measure must not be the network by which something was chosen. If the nearest of four faces is chosen by a
network, counting faces by the same one measures the choice. So the judge is another network, trained on other
seeds, and the product doesn't know it. It also says whether a face is whole: it has seen broken ones.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from skimage import color

from generation.miniature.world.joints import Pose
from generation.miniature.world.pen import View
from generation.miniature.world.people import AGES, GENDERS, Person

FILE = Path(__file__).parent / "reader.onnx"
SIDE = 80  # pixels of the crop that the network sees
REACH, RAISED = (
    1.9,
    0.12,
)  # half the crop's side, and how far it is moved up, in half heads: room for all hair

STYLES = ("bald", "short", "curly", "long", "bun")
BEARDS = ("none", "moustache", "full")
GLASSES = ("none", "round", "square")
PARTS = ("eyes", "mouth", "hair")  # of a whole face: two eyes, one mouth, hair of one colour
SAME_COLOUR = 15.0  # CIE 2000: hair read as farther from a person's is of another colour


@dataclass(frozen=True)
class Reading:
    """``embedding`` has length 1. Colours are CIE L*a*b*. ``whole``: for each of PARTS how sure, 0..1."""

    embedding: np.ndarray
    hair: np.ndarray
    skin: np.ndarray
    style: str
    beard: str
    glasses: str
    age: str
    gender: str
    whole: dict[str, float]

    def distance(self, other: Reading) -> float:
        """0..2, small for pictures of one person."""
        return float(np.linalg.norm(self.embedding - other.embedding))

    @property
    def is_whole(self) -> bool:
        return min(self.whole.values()) >= 0.5

    def has_hair_of(self, person: Person) -> bool:
        """The style, and unless bald the colour."""
        if self.style != style_of(person):
            return False
        return self.style == "bald" or colours_apart(self.hair, lab(person.hair_colour)) <= SAME_COLOUR


def style_of(person: Person) -> str:
    """One of STYLES; a parting is not told from other short hair."""
    return "short" if person.hair_style == "parted" else person.hair_style


def beard_of(person: Person) -> str:
    return BEARDS[0 if not person.beard else 1 if person.beard < 0.5 else 2]


def glasses_of(person: Person) -> str:
    return GLASSES[0 if not person.glasses else 1 if person.glasses < 0.5 else 2]


def lab(colour) -> np.ndarray:
    """CIE L*a*b* of an RGB colour of 0..255."""
    return color.rgb2lab(np.asarray(colour, float) / 255)


def colours_apart(a: np.ndarray, b: np.ndarray) -> float:
    """CIE 2000 colour difference of two CIE L*a*b* colours."""
    return float(color.deltaE_ciede2000(a, b))


# --- crops --------------------------------------------------------------------------------------------------

Box = tuple[float, float, float, float]


def head_box(pose: Pose, view: View | None = None) -> Box:
    """The square around the head that the network sees, in the view's pixels.

    From the pose, not from a mask: a measure must not move when masks are drawn in another way.
    """
    view = view or View()
    half, (x, y) = pose.head_half * view.scale, pose.head
    x, y = (x - view.left) * view.scale, (y - view.top) * view.scale - RAISED * half
    return (x - REACH * half, y - REACH * half, x + REACH * half, y + REACH * half)


def crop(picture: Image.Image, box: Box) -> Image.Image:
    """The box of the picture, ``SIDE`` pixels square; what lies outside the picture repeats its edge."""
    left, top, right, bottom = box
    margin = int(max(0, -left, -top, right - picture.width, bottom - picture.height)) + 2
    edged = np.pad(np.asarray(picture.convert("RGB")), ((margin, margin), (margin, margin), (0, 0)), "edge")
    moved = tuple(value + margin for value in box)
    return Image.fromarray(edged).resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=moved)


# --- reading ------------------------------------------------------------------------------------------------


@functools.cache
def _session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])


def accuracy() -> dict[str, float]:
    """What was right on drawings not trained on, as shares of 0..1."""
    return json.loads(_session().get_modelmeta().custom_metadata_map["accuracy"])


def read(crops: list[Image.Image]) -> list[Reading]:
    """One reading for each crop, RGB and ``SIDE`` square."""
    batch = np.stack([np.asarray(c, np.float32).transpose(2, 0, 1) / 255 for c in crops])
    names = [output.name for output in _session().get_outputs()]
    read = dict(zip(names, _session().run(None, {"crops": batch}), strict=True))
    kinds = {"style": STYLES, "beard": BEARDS, "glasses": GLASSES, "age": AGES, "gender": GENDERS}
    words = {name: [values[k] for k in read[name].argmax(1)] for name, values in kinds.items()}
    return [
        Reading(
            embedding=read["embedding"][row],
            hair=read["colours"][row, :3] * 100,
            skin=read["colours"][row, 3:] * 100,
            whole=dict(zip(PARTS, read["whole"][row].tolist(), strict=True)),
            **{name: values[row] for name, values in words.items()},
        )
        for row in range(len(crops))
    ]


def read_head(picture: Image.Image, pose: Pose, view: View | None = None) -> Reading:
    """The head at the place where the pose has it."""
    return read([crop(picture, head_box(pose, view))])[0]
