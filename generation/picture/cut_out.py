"""The painted subject on the place's own pixels: what a model invents around a subject is a halo.

An inpainting model fills the whole mask, and next to the subject it guesses a place that is known. So the
subject is told from that guess, and where the guess is, the place itself comes back.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

DIFFERENT = 25  # of 255: as far as a guess at the place may be from it, and a subject rarely is so near
BONE = 40  # of 255: as bright as a skeleton's dimmest line
ROUNDS = 3  # of GrabCut; the outline moves little after them
CLOSED, SOFT = 7, 0.7  # pixels: holes as small as that belong to the subject; its edge's softness


def restore_place(
    painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image, inside: Image.Image
) -> Image.Image:
    """``painted``, but inside the mask ``inside`` its subject is cut out and laid on ``place``."""
    return Image.composite(cut_out(painted, place, skeleton, mask), painted, inside)


def cut_out(
    painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image
) -> Image.Image:
    """``painted`` where its subject is, ``place`` elsewhere; pictures of one size, the mask L.

    GrabCut (Rother, Kolmogorov and Blake 2004): outside the mask is no subject, on the skeleton's lines there
    is; between them it begins from where the painting differs from the place, and ends where the colours of
    one and of the other meet best.
    """
    pixels, known = (np.asarray(picture.convert("RGB")) for picture in (painted, place))
    differs = np.abs(_smooth(pixels) - _smooth(known)).max(axis=2) > DIFFERENT
    bones = np.asarray(skeleton.convert("RGB")).max(axis=2) > BONE
    inside = np.asarray(mask) > 127
    labels = np.where(differs, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.dilate(bones.astype(np.uint8), np.ones((3, 3))) > 0] = cv2.GC_FGD
    labels[~inside] = cv2.GC_BGD
    is_subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if is_subject.all() or not is_subject.any():  # GrabCut wants some of each
        return painted
    cv2.setRNGSeed(0)  # it begins with a k-means of its own
    colours = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels[..., ::-1].copy(), labels, None, *colours, ROUNDS, cv2.GC_INIT_WITH_MASK)
    subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSED, CLOSED))
    share = cv2.GaussianBlur(cv2.morphologyEx(subject, cv2.MORPH_CLOSE, ball), (0, 0), SOFT) * inside
    return Image.composite(painted, place, Image.fromarray((share * 255).round().astype(np.uint8)))


def _smooth(pixels: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 1.0)
