"""Is there a face where one was painted, and how near is it to the visitor's photos?"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from PIL import Image

from generation.vision.looks import differing
from generation.vision.types import Face, Point
from generation.vision.visitor import Visitor

MARGIN = 0.6  # of the mask's longer side, added around it: surroundings make a detector surer of a face
CLEAR = 0.7  # confidence of the face: in so small a part of a picture, less is often no face at all
OTHER_LOOKS = 0.1  # of distance: beyond compare.SAME_PERSON, 0.6, it is another person's face
LOOKED_AT = 384  # pixels at least, on the longer side: a painted face may be small


@dataclass(frozen=True)
class Closeup:
    """The surroundings of a face mask, enlarged ``times``, and the largest face in its middle, if any."""

    picture: Image.Image
    face: Face | None
    corner: Point  # where its top left is in the whole picture
    times: float

    def at(self, point: Point) -> Point:
        """Where a point of the whole picture is in it."""
        return ((point[0] - self.corner[0]) * self.times, (point[1] - self.corner[1]) * self.times)

    def from_here(self, point: Point) -> Point:
        """Where a point of it is in the whole picture."""
        return (point[0] / self.times + self.corner[0], point[1] / self.times + self.corner[1])


def look_closely(picture: Image.Image, face_mask: Image.Image, detectors: ModuleType) -> Closeup | None:
    """The surroundings of the face mask, enlarged. None if the mask is empty."""
    box = face_mask.getbbox()
    if box is None:
        return None
    left, top, right, bottom = box
    more = MARGIN * max(right - left, bottom - top)
    box = tuple(round(v) for v in (left - more, top - more, right + more, bottom + more))
    near = picture.crop(box)
    times = max(1.0, LOOKED_AT / max(near.size))
    near = near.resize((round(near.width * times), round(near.height * times)), Image.Resampling.BICUBIC)
    seen = Closeup(near, None, box[:2], times)
    middle, reach = seen.at(((left + right) / 2, (top + bottom) / 2)), max(right - left, bottom - top) / 2
    faces = [face for face in detectors.find_faces(near) if face.confidence >= CLEAR]
    inside = [face for face in faces if math.dist(face.centre, middle) < reach * times]
    return dataclasses.replace(seen, face=inside[0]) if inside else seen


def measure(
    picture: Image.Image, face_mask: Image.Image, embeddings: Sequence[Sequence[float]], detectors: ModuleType
) -> dict:
    """``{"face": bool, "distance": float or None}`` of the largest face in the mask's surroundings.

    ``embeddings``: those of the faces in the visitor's photos, by the same detectors. The distance is the
    median of the distances to them. Up to compare.SAME_PERSON, the face counts as the visitor's.
    """
    seen = look_closely(picture, face_mask, detectors)
    if seen is None or seen.face is None:
        return {"face": False, "distance": None}
    if not embeddings:
        return {"face": True, "distance": None}
    return {"face": True, "distance": round(_distance(seen, embeddings, detectors), 3)}


def _distance(seen: Closeup, embeddings: Sequence[Sequence[float]], detectors: ModuleType) -> float:
    painted = detectors.embed_face(seen.picture, seen.face)
    return statistics.median(math.dist(painted, one) for one in embeddings)


def nearest(
    pictures: Sequence[Image.Image], face_mask: Image.Image, visitor: Visitor, detectors: ModuleType
) -> Image.Image:
    """The picture whose face is nearest to the visitor's. A picture without a face is the farthest.

    An embedding says little about hair or glasses. So ``OTHER_LOOKS`` is added to the distance for each of
    the visitor's looks that the picture shows differently.
    """

    def distance(picture: Image.Image) -> float:
        seen = look_closely(picture, face_mask, detectors)
        if seen is None or seen.face is None:
            return math.inf
        otherwise = differing(detectors.read_looks(seen.picture, seen.face), visitor.looks)
        return _distance(seen, visitor.embeddings, detectors) + OTHER_LOOKS * len(otherwise)

    return min(pictures, key=distance)
