"""Reads a drawn face: who it is, how old, man or woman. A small ONNX network; no torch.

The measure of the miniature's pictures. It is trained on drawings alone (``train_reader``) and knows nothing
of what is painted; what it can tell on drawings it has never seen is in its file, see ``accuracy``.
"""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from generation.miniature.world.people import AGES, GENDERS

FILE = Path(__file__).parent.parent / "weights" / "reader.onnx"
SIDE = 64  # pixels of the crop that the network sees
REACH = 1.7  # half the crop's side, in units of half the head's height


@dataclass(frozen=True)
class Reading:
    """``embedding``: numbers whose Euclidean distance is small for drawings of one person. An unit is the
    spread that drawings of one person have."""

    age: str
    gender: str
    embedding: np.ndarray

    def distance(self, other: Reading) -> float:
        return float(np.linalg.norm(self.embedding - other.embedding))


@functools.cache
def _session() -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(FILE, providers=["CPUExecutionProvider"])


def accuracy() -> dict[str, float]:
    """Shares of 0..1 that were right on drawings not trained on: "age", "gender", "identity" (of 20)."""
    return json.loads(_session().get_modelmeta().custom_metadata_map["accuracy"])


def crop_box(face_mask: Image.Image) -> tuple[float, float, float, float]:
    """The square around a head, in pixels, from its face mask (``scenes.face_mask``: 1.3 heads high)."""
    left, top, right, bottom = face_mask.getbbox()
    half = (bottom - top) / 2.6
    x, y = (left + right) / 2, (top + bottom) / 2 + 0.12 * half
    return (x - REACH * half, y - REACH * half, x + REACH * half, y + REACH * half)


def crop(picture: Image.Image, box: tuple[float, float, float, float]) -> Image.Image:
    """The box of the picture, ``SIDE`` pixels square; what lies outside the picture repeats its edge."""
    left, top, right, bottom = box
    data = ((right - left) / SIDE, 0, left, 0, (bottom - top) / SIDE, top)
    margin = int(max(0, -left, -top, right - picture.width, bottom - picture.height)) + 2
    edged = np.pad(np.asarray(picture.convert("RGB")), ((margin, margin), (margin, margin), (0, 0)), "edge")
    data = (data[0], 0, left + margin, 0, data[4], top + margin)
    small = max(1.0, (right - left) / SIDE)
    edged = Image.fromarray(edged)
    if small > 1.5:  # the transform below takes single pixels: average them first
        return edged.resize(
            (SIDE, SIDE),
            Image.Resampling.BOX,
            box=(left + margin, top + margin, right + margin, bottom + margin),
        )
    return edged.transform((SIDE, SIDE), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


def read(crops: list[Image.Image]) -> list[Reading]:
    """One reading for each crop, RGB and ``SIDE`` square."""
    batch = np.stack([np.asarray(c, np.float32).transpose(2, 0, 1) / 255 for c in crops])
    embeddings, ages, genders = _session().run(None, {"crops": batch})
    return [
        Reading(AGES[int(a)], GENDERS[int(g)], e)
        for e, a, g in zip(embeddings, ages.argmax(1), genders.argmax(1), strict=True)
    ]


def read_face(picture: Image.Image, face_mask: Image.Image) -> Reading:
    """The face inside the mask; both of one size."""
    return read([crop(picture, crop_box(face_mask))])[0]
