"""Cuts out the painted subject and puts it on the place's own pixels.

An inpainting model fills the whole mask. Around the subject, it paints a background that differs a little
from the real place, which looks like a halo. So the subject is separated from this background, and the
place's own pixels replace the background.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

DIFFERENT = 25  # of 255: a pixel that differs more from the place belongs to the subject, as a first guess
BONE = 40  # of 255: the brightness of a skeleton's dimmest line
ROUNDS = 3  # of GrabCut; more rounds hardly change the outline
# Grey hair differs little from a grey sky. So the face mask has a limit of its own: GUESS times the median
# difference in the mask's rim of RIM pixels, which mostly shows the place; at least LEAST, at most DIFFERENT.
LEAST, RIM, GUESS = 8, 4, 2.5
HEAD = 0.6  # of the face mask's width and height: the head fills an ellipse of this size in the mask's middle
CLOSED, SOFT = 7, 0.7  # pixels: smaller holes belong to the subject; the softness of the subject's edge


def restore_place(
    painted: Image.Image,
    place: Image.Image,
    skeleton: Image.Image,
    mask: Image.Image,
    face_mask: Image.Image,
    inside: Image.Image,
) -> Image.Image:
    """``painted``, but inside the mask ``inside`` its subject is cut out and laid on ``place``."""
    return Image.composite(cut_out(painted, place, skeleton, mask, face_mask), painted, inside)


def cut_out(
    painted: Image.Image,
    place: Image.Image,
    skeleton: Image.Image,
    mask: Image.Image,
    face_mask: Image.Image,
) -> Image.Image:
    """``painted`` where its subject is, and ``place`` elsewhere. All pictures have one size; masks are L.

    The outline is found by GrabCut (Rother, Kolmogorov and Blake 2004). The skeleton's lines and the middle
    of the face mask surely belong to the subject. Everything outside ``mask`` surely doesn't. Between them,
    GrabCut begins with the pixels in which ``painted`` and ``place`` differ, and moves the outline to where
    the colours change most.
    """
    pixels, known = (np.asarray(picture.convert("RGB")) for picture in (painted, place))
    difference = np.abs(_smooth(pixels) - _smooth(known)).max(axis=2)
    differs = difference > _limits(difference, np.asarray(face_mask) > 127)
    bones = np.asarray(skeleton.convert("RGB")).max(axis=2) > BONE
    inside = np.asarray(mask) > 127
    labels = np.where(differs, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[cv2.dilate(bones.astype(np.uint8), np.ones((3, 3))) > 0] = cv2.GC_FGD
    labels[_middle(face_mask)] = cv2.GC_FGD
    labels[~inside] = cv2.GC_BGD
    is_subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if is_subject.all() or not is_subject.any():  # GrabCut wants some of each
        return painted
    cv2.setRNGSeed(0)  # GrabCut begins with k-means, which draws random numbers
    colours = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(pixels[..., ::-1].copy(), labels, None, *colours, ROUNDS, cv2.GC_INIT_WITH_MASK)
    subject = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.float32)
    ball = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (CLOSED, CLOSED))
    share = cv2.GaussianBlur(cv2.morphologyEx(subject, cv2.MORPH_CLOSE, ball), (0, 0), SOFT) * inside
    return Image.composite(painted, place, Image.fromarray((share * 255).round().astype(np.uint8)))


def _smooth(pixels: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(pixels.astype(np.float32), (0, 0), 1.0)


def _limits(difference: np.ndarray, head: np.ndarray) -> np.ndarray:
    """From which difference on each pixel belongs to the subject; ``head`` is the face mask."""
    limits = np.full(difference.shape, float(DIFFERENT))
    rim = head & (cv2.erode(head.astype(np.uint8), np.ones((2 * RIM + 1, 2 * RIM + 1))) == 0)
    if rim.any():
        limits[head] = np.clip(GUESS * np.median(difference[rim]), LEAST, DIFFERENT)
    return limits


def _middle(face_mask: Image.Image) -> np.ndarray:
    """Boolean: the ellipse in the middle of the mask's bounding box that a head fills with its hair."""
    ellipse = np.zeros((face_mask.height, face_mask.width), np.uint8)
    if box := face_mask.getbbox():
        left, top, right, bottom = box
        middle, size = (
            ((left + right) / 2, (top + bottom) / 2),
            (HEAD * (right - left), HEAD * (bottom - top)),
        )
        cv2.ellipse(ellipse, (middle, size, 0), 1, cv2.FILLED)
    return ellipse > 0
