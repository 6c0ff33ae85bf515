"""Reads hair, beard and glasses of a drawn face: a small network in numpy, made by training.train_looks."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from generation.vision.looks import VALUES, Looks
from generation.vision.types import Face, Point

FILE = Path(__file__).parent / "detector_models" / "looks.npz"
SIDE = 32  # of the picture that the network sees
REACH = 1.9  # half that picture's side, in half heads
BOX = 0.93  # half the width of a face's box, in half heads
EYES = 0.05  # how far the eyes are above the head's middle, in half heads
SURE = 0.5  # least probability of a value that is said


@functools.cache
def network() -> dict[str, np.ndarray]:
    with np.load(FILE) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files}


def chip(picture: Image.Image, middle: Point, half: float, turn: float) -> np.ndarray:
    """(SIDE, SIDE, 3), -1..1: the head upright, with its hair. ``half`` a head in pixels, turn in radians."""
    scale = SIDE / (2 * REACH * half)
    cos, sin = np.cos(turn) * scale, np.sin(turn) * scale
    to_chip = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
    to_chip[:, 2] = SIDE / 2 - to_chip[:, :2] @ np.asarray(middle)
    pixels = np.asarray(picture.convert("RGB"), np.float32)
    if scale < 1 / 1.5:  # several pixels become one: none may be left out
        pixels = cv2.GaussianBlur(pixels, (0, 0), 0.4 / scale)
    cut = cv2.warpAffine(pixels, to_chip, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE)
    return cut / 127.5 - 1


def around(face: Face) -> tuple[Point, float, float]:
    """The head's middle, half its height and its turn. The eyes say more exactly than the box where it is."""
    corners, half = np.asarray(face.points[:4]), face.width / 2 / BOX
    left, right = corners[:2].mean(0), corners[2:].mean(0)
    turn = float(np.arctan2(*(left - right)[::-1]))
    down = EYES * half * np.array([-np.sin(turn), np.cos(turn)])
    x, y = (left + right) / 2 + down
    return (x, y), half, turn


def scores(head: np.ndarray) -> np.ndarray:
    """Of a ``chip``: one for each of all ``VALUES``, a logit."""
    kept = network()
    hidden = np.maximum(0, head.ravel() @ kept["in"] + kept["in_bias"])
    return hidden @ kept["out"] + kept["out_bias"]


def read(picture: Image.Image, face: Face) -> Looks:
    """What is sure."""
    values = scores(chip(picture, *around(face)))
    found, start = {}, 0
    for name, words in VALUES.items():
        logits = values[start : start + len(words)]
        chances = np.exp(logits - logits.max())
        chances /= chances.sum()
        if chances.max() >= SURE:
            found[name] = words[int(chances.argmax())]
        start += len(words)
    return found
