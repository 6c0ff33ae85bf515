"""Whether arms and legs are whole: there all along their bones, with a hand where the skeleton ends.

How opaque a limb is follows from colours: a pixel on a bone is a mixture of the empty place's pixel and of
one of the colours that this figure's limbs have. Those are read in the picture itself, from the torso, the
legs, the cheeks and the neck, so it does not matter which colours were asked for.
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from skimage import color

from generation.miniature.world import joints
from generation.miniature.world.joints import Pose
from generation.miniature.world.pen import SCENE, Point

ARMS = (
    (joints.R_SHOULDER, joints.R_ELBOW, joints.R_WRIST),
    (joints.L_SHOULDER, joints.L_ELBOW, joints.L_WRIST),
)
LEGS = (
    (joints.R_HIP, joints.R_KNEE, joints.R_ANKLE),
    (joints.L_HIP, joints.L_KNEE, joints.L_ANKLE),
)
SHADES = (1.0, 0.82, 0.68)  # of a colour: lit, in shadow, the outline
OPAQUE = 0.6  # from here on a point of a bone is limb and not place
CLEARLY = 60.0  # RGB distance: farther from the place than this is nothing that fades
GAP = 0.3  # of a bone's length: a longer part that is place makes the limb broken
OWN, OTHER = 20.0, 40.0  # RGB distance: up to here a pixel has a colour; from here on none of a mixture's
SKIN = 14.0  # CIE 2000: a pixel of a hand is this near to the face's or the neck's skin
HAND = 0.03  # of the body's height: how far around a hand's middle its skin is looked for
HAND_SHARE = 0.4  # of that circle is skin, at least


def whole_limbs(picture: Image.Image, background: Image.Image, pose: Pose) -> bool:
    """Whether every limb that the frame shows is whole; ``background`` is the empty place."""
    pixels, place = np.asarray(picture.convert("RGB"), float), np.asarray(background.convert("RGB"), float)
    colours = limb_colours(pixels, place, pose)
    bones = [
        bone for limb in (*ARMS, *LEGS) for bone in zip(limb, limb[1:], strict=False) if _seen(pose, bone)
    ]
    gaps = [longest_gap(opacity_along(pixels, place, colours, pose, bone)) for bone in bones]
    return max(gaps, default=0.0) <= GAP and all(hands(pixels, place, pose))


def _seen(pose: Pose, bone: tuple[int, int]) -> bool:
    """Whether both of the bone's ends are in the frame, with room for the limb's width."""
    edge = 0.03 * pose.height
    return all(edge <= v < SCENE - edge for end in bone for v in pose.joints[end])


def limb_colours(pixels: np.ndarray, place: np.ndarray, pose: Pose) -> np.ndarray:
    """(N, 3) RGB: the colours that a limb of this figure may have, each lit and in shadow."""
    shoulders = np.mean([pose.joints[k] for k in (joints.R_SHOULDER, joints.L_SHOULDER)], axis=0)
    hips = np.mean([pose.joints[k] for k in (joints.R_HIP, joints.L_HIP)], axis=0)
    torso = [shoulders + share * (hips - shoulders) for share in (0.3, 0.6)]  # folded hands cover one
    found = [*(median(pixels, spot, 0.03 * pose.height) for spot in torso), *skins(pixels, pose)]
    for hip, knee, ankle in LEGS:
        for start, end in ((hip, knee), (knee, ankle)):  # a coat hides a thigh
            middle = 0.5 * np.asarray(pose.joints[start]) + 0.5 * np.asarray(pose.joints[end])
            seen, empty = (median(image, middle, 0.014 * pose.height) for image in (pixels, place))
            if np.linalg.norm(seen - empty) > CLEARLY:
                found.append(seen)
    return np.concatenate([np.asarray(found) * shade for shade in SHADES])


def skins(pixels: np.ndarray, pose: Pose) -> list[np.ndarray]:
    """RGB of the cheeks and of the neck as painted."""
    half, (x, y) = pose.head_half, pose.head
    cheeks = [median(pixels, (x + side * 0.42 * half, y + 0.22 * half), 0.12 * half) for side in (-1, 1)]
    return [np.mean(cheeks, axis=0), median(pixels, (x, y + 1.38 * half), 0.1 * half)]


def median(pixels: np.ndarray, middle: Point, reach: float) -> np.ndarray:
    """RGB of the square around a place, cut at the picture's edge."""
    x, y = (min(max(0, round(float(v))), SCENE - 1) for v in middle)
    reach = max(1, round(reach))
    part = pixels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return np.median(part.reshape(-1, 3), axis=0)


def opacity_along(
    pixels: np.ndarray, place: np.ndarray, colours: np.ndarray, pose: Pose, bone: tuple[int, int]
) -> np.ndarray:
    """0..1 at each pixel of the bone from its first joint to its second: place or limb.

    What can't be told, because the place has the limb's colour, counts as limb.
    """
    a, b = (np.asarray(pose.joints[end]) for end in bone)
    count = max(4, round(float(np.hypot(*(b - a)))))
    reach = max(0.0, 0.012 * pose.height)
    found = []
    for share in np.linspace(0.08, 0.95, count):
        point = a + share * (b - a)
        found.append(opacity(median(pixels, point, reach), median(place, point, reach), colours))
    return np.asarray(found)


def opacity(pixel: np.ndarray, place: np.ndarray, colours: np.ndarray) -> float:
    """How much of the colour that best explains the pixel is in it, beside the place's; RGB.

    A pixel of one of the limbs' own colours is limb, also where the place has that colour.
    """
    if np.linalg.norm(colours - pixel, axis=1).min() < OWN:
        return 1.0
    ways, moved = colours - place, pixel - place
    lengths = np.maximum(1e-6, np.linalg.norm(ways, axis=1))
    shares = np.clip((ways @ moved) / lengths**2, 0, 1)
    left = np.linalg.norm(moved - shares[:, None] * ways, axis=1)
    if left.min() > OTHER:
        return 1.0  # neither place nor limb: a shoe, a belt, the hair
    return float(shares[left.argmin()])


def longest_gap(opacities: np.ndarray) -> float:
    """The longest part, 0..1 of the bone, that is place."""
    longest = run = 0
    for value in opacities:
        run = run + 1 if value < OPAQUE else 0
        longest = max(longest, run)
    return longest / len(opacities)


def hands(pixels: np.ndarray, place: np.ndarray, pose: Pose) -> list[bool]:
    """For each wrist in the frame whether there is skin at the arm's end."""
    found = []
    skin_labs = [color.rgb2lab(skin / 255) for skin in skins(pixels, pose)]
    for _, elbow, wrist in ARMS:
        if not _seen(pose, (elbow, wrist)):
            continue
        around = _circle(hand_place(pose, elbow, wrist), HAND * pose.height)
        near, hidden = (_is_skin(colours[around], skin_labs) for colours in (pixels, place))
        changed = np.abs(pixels[around] - place[around]).max(1) > 12
        found.append(bool((near & (changed | hidden)).mean() >= HAND_SHARE))
    return found


def _is_skin(pixels: np.ndarray, skin_labs: list[np.ndarray]) -> np.ndarray:
    """(N,) bool for (N, 3) RGB: near to one of the skins."""
    seen = color.rgb2lab(pixels / 255)
    apart = [color.deltaE_ciede2000(seen, np.broadcast_to(skin, seen.shape)) for skin in skin_labs]
    return np.min(apart, axis=0) < SKIN


def hand_place(pose: Pose, elbow: int, wrist: int) -> Point:
    """The middle of the hand: a little beyond the wrist."""
    (ex, ey), (wx, wy) = pose.joints[elbow], pose.joints[wrist]
    length = max(1e-6, float(np.hypot(wx - ex, wy - ey)))
    reach = 0.02 * pose.height / length
    return (wx + reach * (wx - ex), wy + reach * (wy - ey))


def _circle(middle: Point, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pixels within ``radius``."""
    y, x = np.mgrid[:SCENE, :SCENE]
    return np.nonzero((x - middle[0]) ** 2 + (y - middle[1]) ** 2 <= radius**2)
