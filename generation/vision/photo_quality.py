"""Is this a photo that a face can be learned from? Findings with a code each; sentences are the caller's.

The limits were chosen on the pictures of benchmarks/photo_gate.py. When in doubt, a photo passes.
"""

from __future__ import annotations

from types import ModuleType

import cv2
import numpy as np
from PIL import Image

from generation.vision.decode import Finding
from generation.vision.types import Face

FACE_PIXELS = 90  # least width of the face's box
FACE_SHARE = 0.07  # of the picture's shorter side, likewise
BESIDE = 0.4  # another face counts from this share of the first one's width
OUTSIDE = 0.12  # of the face's width that may be beyond the picture's edge
DARK, BRIGHT = 55, 250  # luminance, 0..255
DARK_PICTURE = 40
BRIGHT_SHARE = 0.35  # of the face's pixels
SHARP = 0.015  # see sharpness()
COVERED_LIGHT, COVERED_SPREAD = 0.45, 0.16  # see eyes_covered()


def judge(picture: Image.Image, detectors: ModuleType) -> tuple[list[Finding], Face | None]:
    """What is wrong with one photo, and its largest face."""
    faces = detectors.find_faces(picture)
    if not faces:
        return [Finding(_reason_for_no_face(picture), {})], None
    face = faces[0]
    findings = []
    beside = [other for other in faces[1:] if other.width >= BESIDE * face.width]
    if beside:
        findings.append(Finding("several_faces", {"count": 1 + len(beside)}))
    share = face.width / min(picture.size)
    if face.width < FACE_PIXELS or share < FACE_SHARE:
        findings.append(Finding("face_too_small", {"width": round(face.width), "limit": FACE_PIXELS}))
    if beyond_edge(face, picture.size) > OUTSIDE:
        findings.append(Finding("face_cut_off", {}))
    near = luminance(picture, face)
    if np.percentile(near, 95) < DARK:
        findings.append(Finding("too_dark", {}))
    elif np.mean(near >= BRIGHT) > BRIGHT_SHARE:
        findings.append(Finding("too_bright", {}))
    else:
        if sharpness(near) < SHARP:
            findings.append(Finding("blurred", {}))
        if eyes_covered(picture, face):
            findings.append(Finding("eyes_hidden", {}))
    return findings, face


def _reason_for_no_face(picture: Image.Image) -> str:
    grey = np.asarray(picture.convert("L").resize((128, 128), Image.Resampling.BOX))
    if np.percentile(grey, 95) < DARK_PICTURE:
        return "too_dark"
    return "too_bright" if np.mean(grey >= BRIGHT) > 0.9 else "no_face"


def beyond_edge(face: Face, size: tuple[int, int]) -> float:
    """How far the box reaches over the picture's edge, in widths of the face."""
    left, top, right, bottom = face.box
    return max(0.0, -left, -top, right - size[0], bottom - size[1]) / face.width


def luminance(picture: Image.Image, face: Face) -> np.ndarray:
    """The face in grey, 0..255, at most 160 pixels wide."""
    left, top, right, bottom = (round(v) for v in face.box)
    box = (max(0, left), max(0, top), min(picture.width, right), min(picture.height, bottom))
    cut = picture.convert("L").crop(box)
    times = cut.width / 160
    if times > 1:
        cut = cut.resize((160, max(1, round(cut.height / times))), Image.Resampling.BOX)
    return np.asarray(cut, np.float32)


def sharpness(near: np.ndarray) -> float:
    """How much of the face's contrast is in its finest detail (variance of the Laplacian, no unit)."""
    inner = near[near.shape[0] // 5 : -near.shape[0] // 5 or None, near.shape[1] // 5 : -near.shape[1] // 5]
    if inner.size < 100:
        return 1.0
    return float(cv2.Laplacian(inner, cv2.CV_32F).var() / max(25.0, inner.var()))


def eyes_covered(picture: Image.Image, face: Face) -> bool:
    """Both eyes are much darker than the face around them and have nothing in them: dark glasses."""
    grey = np.asarray(picture.convert("L"), np.float32)
    corners = np.asarray(face.points[:4])
    nose = np.asarray(face.points[4])
    covered = []
    for outer, inner in (corners[:2], corners[2:]):
        reach = np.hypot(*(outer - inner)) / 2
        eye = _patch(grey, (outer + inner) / 2, reach, reach * 0.7)
        cheek = _patch(grey, (outer + inner) / 2 + (nose - corners.mean(0)) * 1.1, reach, reach * 0.5)
        if not eye.size or not cheek.size:
            return False
        light = max(8.0, float(np.median(cheek)))
        covered.append(np.percentile(eye, 90) < COVERED_LIGHT * light and eye.std() < COVERED_SPREAD * light)
    return all(covered)


def _patch(grey: np.ndarray, middle: np.ndarray, reach_x: float, reach_y: float) -> np.ndarray:
    (x, y), (height, width) = middle, grey.shape
    top, bottom = (min(height, max(0, round(v))) for v in (y - reach_y, y + reach_y))
    left, right = (min(width, max(0, round(v))) for v in (x - reach_x, x + reach_x))
    return grey[top:bottom, left:right]
