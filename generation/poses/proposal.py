"""From a photograph, mannequin, drawing or skeleton to what an action image needs.

    python -m generation.poses.proposal PICTURE [FOLDER] [--most PIXELS]

writes FOLDER/skeleton.png, subject-mask.png and face-mask.png, all of the picture's size (FOLDER: the
picture's own name, without its ending), and prints as JSON what the picture is, the joints with their
confidence, and guesses where joints that weren't found may be. With ``--most``, a larger picture is made
smaller first, to so many pixels on the long side, and written as FOLDER/picture.jpg. Exits 1 with one line on
stderr when no person is seen; the JSON is there then too, masks are not. The detectors are those of
MODEL_PROFILE.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from generation.models.profiles import get_profile
from generation.poses import mask_drawing, openpose
from generation.poses.openpose import CONFIDENT, LIMBS, NAMES, NOSE
from generation.poses.skeleton import SkeletonError, find_pose, read_picture
from generation.vision import detectors
from generation.vision.types import Joint, Point, Pose

SUBJECT_MARGIN = 0.03  # of the picture's longer side, around the person
HELD_BONES = 0.9  # share of the bones that an outline holds if it is this person's
HEAD_HALF, HEAD_UP = (
    1.2,
    0.1,
)  # the head around a face's box: half its height, and how much higher its middle is
NOBODY: Pose = (None,) * 18


@dataclass(frozen=True)
class Proposal:
    """What an editor is shown first. ``kind``: "skeleton" or "photo"; the masks are None where nobody is."""

    kind: str
    pose: Pose
    guesses: tuple[Point, ...]  # of all joints
    subject_mask: Image.Image | None = None
    face_mask: Image.Image | None = None
    has_outline: bool = False  # the subject mask is the person's own outline with room around it


def propose(picture: Image.Image) -> Proposal:
    """Joints and masks of the clearest person; SkeletonError if the picture's detector can't be used."""
    see = detectors()
    if joints := openpose.read(picture):
        kind, pose = "skeleton", tuple(joint and Joint(*joint, 1.0) for joint in joints)
    else:
        kind, pose = "photo", find_pose(picture) or NOBODY
    guesses = mask_drawing.guessed(points_of(pose), picture.size)
    if pose == NOBODY:
        return Proposal(kind, pose, guesses)
    subject = outline_mask(picture, pose, see) if kind == "photo" else None
    has_outline = subject is not None
    if subject is None:
        subject = mask_drawing.subject_mask(points_of(pose), picture.size)
    face = face_mask(picture, pose, see) if kind == "photo" else None
    face = face or mask_drawing.face_mask(points_of(pose), picture.size)
    return Proposal(kind, pose, guesses, ImageChops.lighter(subject, face), face, has_outline)


def points_of(pose: Pose) -> list[Point | None]:
    """The joints that are sure."""
    return [(joint.x, joint.y) if joint and joint.confidence > CONFIDENT else None for joint in pose]


def outline_mask(picture: Image.Image, pose: Pose, see: ModuleType) -> Image.Image | None:
    """Mode L, 255 where a subject like this one may be painted: its outline with room around it and for hair.

    None where the outline that was found doesn't hold the bones.
    """
    outline = see.person_mask(picture).point(lambda v: 255 if v > 127 else 0)
    bones, joints = Image.new("L", picture.size), points_of(pose)
    draw = ImageDraw.Draw(bones)
    for a, b in LIMBS:
        if joints[a] and joints[b]:
            draw.line([joints[a], joints[b]], fill=255, width=3)
    held = np.asarray(outline)[np.asarray(bones) > 0]
    if not held.size or (held > 0).mean() < HELD_BONES:
        return None
    reach = max(1, round(SUBJECT_MARGIN * max(picture.size)))
    small = outline.resize((max(1, picture.width // 4), max(1, picture.height // 4)), Image.Resampling.BOX)
    grown = small.filter(ImageFilter.MaxFilter(2 * max(1, reach // 4) + 1))
    grown = grown.filter(ImageFilter.GaussianBlur(max(1, reach / 8)))
    grown = grown.resize(picture.size, Image.Resampling.BILINEAR).point(lambda v: 255 if v > 100 else 0)
    return ImageChops.lighter(grown, mask_drawing.face_mask(joints, picture.size))


def face_mask(picture: Image.Image, pose: Pose, see: ModuleType) -> Image.Image | None:
    """Mode L, 255 where a head in the place of this one may be painted, with any hair and the upper neck.

    It is drawn around the largest face near the pose's nose. None where none is found.
    """
    nose = pose[NOSE]
    for face in see.find_faces(picture):
        (x, y), half = face.centre, face.width / 2
        if nose is None or math.hypot(x - nose.x, y - nose.y) < half:
            corners = np.asarray(face.points[:4])
            across = corners[:2].mean(0) - corners[2:].mean(0)
            turn = math.atan2(across[1], across[0])
            return mask_drawing.head_mask((x, y - HEAD_UP * half), HEAD_HALF * half, turn, picture.size)
    return None


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m generation.poses.proposal", description=__doc__)
    parser.add_argument("picture", type=Path)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--most", type=int, metavar="PIXELS")
    args = parser.parse_args(arguments)
    folder = args.folder or args.picture.with_suffix("")
    try:
        picture = read_picture(args.picture)
        if args.most:
            picture.thumbnail((args.most, args.most), Image.Resampling.LANCZOS)
        found = propose(picture)
    except SkeletonError as error:
        print(error, file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    if args.most:
        picture.save(folder / "picture.jpg", quality=95, subsampling=0)
    joints = {
        name: joint and dataclasses.asdict(joint) for name, joint in zip(NAMES, found.pose, strict=True)
    }
    told = {"folder": str(folder), "size": picture.size, "kind": found.kind, "joints": joints}
    print(json.dumps(told | {"guesses": found.guesses, "has_outline": found.has_outline}))
    if found.subject_mask is None:
        print("no person was found in the picture: use one that shows the body clearly", file=sys.stderr)
        return 1
    skeleton = openpose.picture_of(found.pose, picture.size, get_profile().skeleton_side)
    skeleton.save(folder / "skeleton.png")
    found.subject_mask.save(folder / "subject-mask.png")
    found.face_mask.save(folder / "face-mask.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
