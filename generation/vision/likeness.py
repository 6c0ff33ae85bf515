"""Is there a face where one was painted, and how near is it to the visitor's photos?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from types import ModuleType

from PIL import Image

MARGIN = 0.6  # of the mask's longer side, seen around it: a detector is surer of a face with its surroundings
CLEAR = 0.7  # confidence of the face: in so small a part of a picture, less is often no face at all
LOOKED_AT = 384  # pixels at least, on the longer side: a painted face may be small


def measure(
    picture: Image.Image, face_mask: Image.Image, photos: Sequence[Sequence[float]], eyes: ModuleType
) -> dict:
    """``{"face": bool, "distance": float or None}`` of the largest face in the mask's surroundings.

    ``photos``: embeddings of the visitor's photos, made by the same eyes. The distance is the median one to
    them; compare.SAME_PERSON is the limit up to which it is the same person.
    """
    box = face_mask.getbbox()
    if box is None:
        return {"face": False, "distance": None}
    left, top, right, bottom = box
    more = MARGIN * max(right - left, bottom - top)
    seen = picture.crop(tuple(round(v) for v in (left - more, top - more, right + more, bottom + more)))
    times = max(1.0, LOOKED_AT / max(seen.size))
    seen = seen.resize((round(seen.width * times), round(seen.height * times)), Image.Resampling.BICUBIC)
    x, y = (more + (right - left) / 2) * times, (more + (bottom - top) / 2) * times
    reach = max(right - left, bottom - top) / 2 * times
    faces = [face for face in eyes.find_faces(seen) if face.confidence >= CLEAR]
    inside = [face for face in faces if math.dist(face.centre, (x, y)) < reach]
    if not inside:
        return {"face": False, "distance": None}
    if not photos:
        return {"face": True, "distance": None}
    code = eyes.embed_face(seen, inside[0])
    return {"face": True, "distance": round(statistics.median(math.dist(code, one) for one in photos), 3)}
