"""Each way of seeing alone, on one file, with the detectors of MODEL_PROFILE.

    python -m generation.vision faces PICTURE      the faces: boxes, points, confidence
    python -m generation.vision embed PICTURE      128 numbers of the largest face
    python -m generation.vision pose PICTURE       18 joints with their confidence
    python -m generation.vision mask PICTURE OUT   the person's outline, as a PNG
    python -m generation.vision skin PICTURE       the tone of the largest face's skin
    python -m generation.vision looks PICTURE      hair, beard and glasses of the largest face
    python -m generation.vision likeness A B       how near the largest faces of two pictures are

Prints JSON on stdout. Exits 1 with one line on stderr when nothing is seen or the file is no picture.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from generation.poses.openpose import NAMES
from generation.poses.skeleton import SkeletonError, read_picture
from generation.vision import detectors, skin
from generation.vision.compare import SAME_PERSON
from generation.vision.types import Face


class NothingSeen(Exception):
    """The text says what is missing."""


def faces(picture: Image.Image) -> list[dict]:
    return [dataclasses.asdict(face) for face in detectors().find_faces(picture)]


def _face(picture: Image.Image) -> Face:
    found = detectors().find_faces(picture)
    if not found:
        raise NothingSeen("no face was found")
    return found[0]


def _embedding(picture: Image.Image) -> np.ndarray:
    return detectors().embed_face(picture, _face(picture))


def embed(picture: Image.Image) -> list[float]:
    return [round(float(number), 5) for number in _embedding(picture)]


def skin_tone(picture: Image.Image) -> dict:
    lab = skin.measure(picture, _face(picture))
    return {"lab": lab, "tone": skin.tone([lab])}


def looks(picture: Image.Image) -> dict:
    return detectors().read_looks(picture, _face(picture))


def pose(picture: Image.Image) -> dict:
    joints = detectors().read_pose(picture)
    if joints is None:
        raise NothingSeen("no person was found")
    return {name: joint and dataclasses.asdict(joint) for name, joint in zip(NAMES, joints, strict=True)}


def mask(picture: Image.Image, out: str) -> dict:
    outline = detectors().person_mask(picture)
    outline.save(out)
    return {"file": out, "share": round(float(np.asarray(outline).mean() / 255), 4)}


def likeness(picture: Image.Image, other: str) -> dict:
    apart = math.dist(_embedding(picture), _embedding(read_picture(Path(other))))
    return {"distance": round(apart, 3), "same_person": apart <= SAME_PERSON}


COMMANDS = {"faces": (faces, 1), "embed": (embed, 1), "pose": (pose, 1), "mask": (mask, 2)}
COMMANDS |= {"skin": (skin_tone, 1), "looks": (looks, 1)}
COMMANDS["likeness"] = (likeness, 2)


def main(arguments: list[str]) -> int:
    function, count = COMMANDS.get(arguments[0] if arguments else "", (None, 0))
    if function is None or len(arguments) != count + 1:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        print(json.dumps(function(read_picture(Path(arguments[1])), *arguments[2:])))
    except (NothingSeen, SkeletonError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
