"""Proposes skeleton and masks for an editor's picture of a pose. The editor corrects them.

This process doesn't decode the upload: ``entrance`` lets another process clean it. It loads no detector
either: a second process (``generation.poses.proposal``) finds the pose in the cleaned picture.
"""

from __future__ import annotations

import io
import json
import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext
from PIL import Image

from diffuser_api.catalogue import entrance
from diffuser_api.models import ActionImage
from diffuser_api.photos import gate
from diffuser_api.photos.pictures import as_png
from generation.models.profiles import get_profile
from generation.poses import mask_drawing, openpose
from generation.vision.types import Joint, Point

SECONDS = 300  # a detector that isn't cached yet has to be downloaded
MOST = 1024  # pixels on the long side: no step paints a larger picture
DETECTOR = ("POSE_DETECTOR", "POSE_DETECTOR_MODEL", "HF_HOME", "HF_HUB_OFFLINE", "HF_ENDPOINT")
PASSED_ON = (*gate.PASSED_ON, *DETECTOR)
# The drawings made from the picture: fields of ActionImage, and files that generation.poses.proposal writes.
MADE = {"skeleton": "skeleton.png", "subject_mask": "subject-mask.png", "face_mask": "face-mask.png"}


class NoProposal(Exception):
    """The text says what an editor can do."""


@dataclass(frozen=True)
class Proposal:
    """``picture`` is a JPEG. Skeleton and masks are PNG files of its size, or None if no person was found.

    ``places``: the 18 joints in pixels. For a joint that wasn't found, it is a guess.
    """

    picture: bytes
    size: tuple[int, int]
    kind: str  # of ActionImage.Kind
    places: list[Point]
    seen: list[bool]
    has_outline: bool = False
    skeleton: bytes | None = None
    subject_mask: bytes | None = None
    face_mask: bytes | None = None

    @property
    def joints(self) -> list[Point | None]:
        return [place if seen else None for place, seen in zip(self.places, self.seen, strict=True)]


def propose(file) -> Proposal:
    """A proposal for an uploaded file. Raises NoProposal if it is no usable picture."""
    picture, drawing = entrance.taken([("picture", file), ("drawing", file)])
    if isinstance(picture, entrance.PictureRefused):
        raise NoProposal(str(picture)) from picture
    is_skeleton = isinstance(drawing, bytes) and _is_skeleton(drawing)
    return of_clean(drawing if is_skeleton else picture)


def _is_skeleton(content: bytes) -> bool:
    with Image.open(io.BytesIO(content)) as drawing:
        return openpose.read(drawing) is not None


def of_clean(clean: bytes) -> Proposal:
    """A proposal for a picture that has passed the entrance. Raises NoProposal."""
    with tempfile.TemporaryDirectory(prefix=gate.FOLDER_PREFIX, dir=settings.TMP_DATA_DIR) as name:
        folder = Path(name)
        (folder / "in").write_bytes(clean)
        found = _look_at(folder)
        made = {
            field: path.read_bytes() if (path := folder / name).exists() else None
            for field, name in MADE.items()
        }
        joints = [found["joints"][name] for name in openpose.NAMES]
        guesses = zip(joints, found["guesses"], strict=True)
        return Proposal(
            picture=(folder / "picture.jpg").read_bytes(),
            size=tuple(found["size"]),
            kind=found["kind"],
            places=[(joint["x"], joint["y"]) if joint else tuple(guess) for joint, guess in guesses],
            seen=[bool(joint) and joint["confidence"] > openpose.CONFIDENT for joint in joints],
            has_outline=found["has_outline"],
            **made,
        )


def _look_at(folder: Path) -> dict:
    arguments = [folder / "in", folder, "--most", MOST]
    try:
        done = gate.run_module("generation.poses.proposal", *arguments, seconds=SECONDS, passed_on=PASSED_ON)
    except subprocess.TimeoutExpired as error:
        sentence = gettext("Finding the pose took too long; upload an OpenPose skeleton instead.")
        raise NoProposal(sentence) from error
    if not done.stdout:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoProposal(lines[-1] if lines else gettext("The picture can't be looked at; try another one."))
    return json.loads(done.stdout)


def of_stored(image: ActionImage) -> Proposal:
    """A stored row's skeleton and masks, for correction. Raises NoProposal if a file is gone or broken."""
    try:
        content = {name: getattr(image, name).read() for name in ("image", *MADE)}
        with Image.open(io.BytesIO(content["skeleton"])) as skeleton:
            size, joints = skeleton.size, openpose.read(skeleton)
    except (OSError, ValueError) as error:
        sentence = gettext("A file of this shot is gone or broken; upload its picture again.")
        raise NoProposal(sentence) from error
    joints = joints or [None] * len(openpose.NAMES)
    return Proposal(
        picture=content.pop("image"),
        size=size,
        kind=image.kind,
        places=list(mask_drawing.guessed(joints, size)),
        seen=[joint is not None for joint in joints],
        **content,
    )


def masks_of(joints: Sequence[Point | None], size: tuple[int, int]) -> tuple[bytes, bytes]:
    """The subject's and the face's mask as PNG files."""
    return as_png(mask_drawing.subject_mask(joints, size)), as_png(mask_drawing.face_mask(joints, size))


def skeleton_of(joints: Sequence[Point | None], size: tuple[int, int]) -> bytes:
    """The skeleton as ControlNet gets it, as a PNG file."""
    pose = [joint and Joint(*joint, 1.0) for joint in joints]
    return as_png(openpose.picture_of(pose, size, get_profile().skeleton_side))


def read_joints(text: str) -> list[Point | None]:
    """The joints in a JSON list of 18 entries, each [x, y] or null. Raises ValueError."""
    try:
        joints = json.loads(text)
    except RecursionError as error:
        raise ValueError("they are nested too deeply") from error
    if not isinstance(joints, list) or len(joints) != len(openpose.NAMES):
        raise ValueError(f"joints must be a list of {len(openpose.NAMES)}")
    return [joint if joint is None else _point(joint) for joint in joints]


def _point(joint) -> Point:
    if not isinstance(joint, list) or len(joint) != 2:
        raise ValueError("a joint's place must be two numbers")
    x, y = map(float, joint)
    if not (math.isfinite(x) and math.isfinite(y) and max(abs(x), abs(y)) < 100_000):
        raise ValueError("a joint's place must be two numbers")
    return x, y
