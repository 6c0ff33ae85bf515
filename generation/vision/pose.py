"""From a photograph, mannequin or drawing to what an action image needs.

    python -m generation.vision.pose PICTURE [FOLDER]

writes FOLDER/skeleton.png, subject-mask.png and face-mask.png, all of the picture's size (FOLDER: the
picture's own name, without its ending), and prints the joints with their confidence as JSON. Exits 1 with one
line on stderr when no person is seen. The eyes are those of MODEL_PROFILE.
"""

from __future__ import annotations

import dataclasses
import json
import math
import sys
from pathlib import Path
from types import ModuleType

from PIL import Image, ImageDraw, ImageFilter

from generation.profiles import get_profile
from generation.skeleton import SkeletonError, find_pose, read_picture
from generation.vision import eyes
from generation.vision.openpose import L_EAR, L_EYE, NAMES, NECK, NOSE, R_EAR, R_EYE, picture_of
from generation.vision.seen import Pose

SUBJECT_MARGIN = 0.03  # of the picture's longer side, around the person


def subject_mask(picture: Image.Image, see: ModuleType) -> Image.Image:
    """Mode L, 255 where a subject like this one may be painted: the outline with room around it."""
    outline = see.person_mask(picture).point(lambda v: 255 if v > 127 else 0)
    reach = max(1, round(SUBJECT_MARGIN * max(picture.size)))
    small = outline.resize((max(1, picture.width // 4), max(1, picture.height // 4)), Image.Resampling.BOX)
    grown = small.filter(ImageFilter.MaxFilter(2 * max(1, reach // 4) + 1))
    grown = grown.filter(ImageFilter.GaussianBlur(max(1, reach / 8)))
    return grown.resize(picture.size, Image.Resampling.BILINEAR).point(lambda v: 255 if v > 100 else 0)


def face_mask(picture: Image.Image, pose: Pose, see: ModuleType) -> Image.Image:
    """Mode L, 255 on the head: by the largest face near the pose's nose, else by the head's joints."""
    mask = Image.new("L", picture.size)
    draw = ImageDraw.Draw(mask)
    nose = pose[NOSE]
    for face in see.find_faces(picture):
        (x, y), half = face.centre, face.width / 2
        if nose is None or math.hypot(x - nose.x, y - nose.y) < half:
            draw.ellipse((x - 1.1 * half, y - 1.5 * half, x + 1.1 * half, y + 1.25 * half), fill=255)
            return mask
    head = [pose[joint] for joint in (NOSE, R_EYE, L_EYE, R_EAR, L_EAR) if pose[joint]]
    if head and pose[NECK]:
        x, y = (sum(getattr(joint, axis) for joint in head) / len(head) for axis in "xy")
        half = 0.55 * math.hypot(x - pose[NECK].x, y - pose[NECK].y)
        draw.ellipse((x - half, y - 1.4 * half, x + half, y + 1.2 * half), fill=255)
    return mask


def main(arguments: list[str]) -> int:
    if len(arguments) not in (1, 2):
        print(__doc__, file=sys.stderr)
        return 2
    source = Path(arguments[0])
    folder = Path(arguments[1]) if len(arguments) == 2 else source.with_suffix("")
    see = eyes()
    try:
        picture = read_picture(source)
        pose = find_pose(picture)
    except SkeletonError as error:
        print(error, file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    picture_of(pose, picture.size, get_profile().skeleton_side).save(folder / "skeleton.png")
    subject_mask(picture, see).save(folder / "subject-mask.png")
    face_mask(picture, pose, see).save(folder / "face-mask.png")
    joints = {name: joint and dataclasses.asdict(joint) for name, joint in zip(NAMES, pose, strict=True)}
    print(json.dumps({"folder": str(folder), "joints": joints}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
