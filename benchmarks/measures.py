"""What can be measured in a picture of the drawn world: outline, clothes, place, likeness. No torch.

The drawn world makes meaning measurable: the asked scene can be drawn, so what was painted is compared with
what was asked for, on any machine. All pictures are 256 x 256 RGB, all masks mode L.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageDraw
from skimage import color, metrics

from generation.miniature.world import joints
from generation.miniature.world.joints import Pose
from generation.miniature.world.pen import SCENE
from generation.miniature.world.people import COLOURS

CHANGED = 40  # of 255: from here on a pixel is painted, not place


def painted_outline(picture: Image.Image, background: Image.Image, mask: Image.Image) -> np.ndarray:
    """(H, W) bool: where inside the mask the picture is no longer the empty place."""
    moved = np.abs(np.asarray(picture, int) - np.asarray(background, int)).max(2)
    return (moved > CHANGED) & (np.asarray(mask) > 127)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Intersection over union of two boolean pictures, 0..1."""
    return float((a & b).sum() / max(1, (a | b).sum()))


def torso(pose: Pose) -> np.ndarray:
    """(H, W) bool: between shoulders and hips, inside the clothes whatever the garment."""
    places = pose.joints
    corners = [places[k] for k in (joints.R_SHOULDER, joints.L_SHOULDER, joints.L_HIP, joints.R_HIP)]
    middle = np.mean(corners, axis=0)
    inner = [tuple(middle + 0.7 * (np.asarray(corner) - middle)) for corner in corners]
    mask = Image.new("L", (SCENE, SCENE))
    ImageDraw.Draw(mask).polygon(inner, fill=255)
    return np.asarray(mask) > 0


def clothes_colour(picture: Image.Image, pose: Pose) -> str:
    """The name of the colour nearest (CIE 2000) to the median colour of the torso."""
    median = np.median(np.asarray(picture)[torso(pose)], axis=0)
    lab = color.rgb2lab(np.asarray([median, *COLOURS.values()]) / 255)
    same = np.broadcast_to(lab[0], lab[1:].shape)
    return list(COLOURS)[int(color.deltaE_ciede2000(same, lab[1:]).argmin())]


def fine_contrast(picture: Image.Image, inside: np.ndarray) -> float:
    """Of the finest detail: the mean absolute Laplacian of the grey picture where ``inside`` is true."""
    edges = cv2.Laplacian(np.asarray(picture.convert("L"), np.float32), cv2.CV_32F)
    return float(np.abs(edges[inside]).mean())


def psnr(picture: Image.Image, original: Image.Image) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(metrics.peak_signal_noise_ratio(np.asarray(original), np.asarray(picture)))


def ssim_outside(picture: Image.Image, background: Image.Image, mask: Image.Image) -> float:
    """Mean structural similarity (Wang et al. 2004, -1..1) over the pixels outside the mask."""
    _, similarity = metrics.structural_similarity(
        np.asarray(background), np.asarray(picture), channel_axis=2, full=True
    )
    return float(similarity[np.asarray(mask) <= 127].mean())


def identical_outside(picture: Image.Image, background: Image.Image, mask: Image.Image) -> bool:
    """Whether every pixel outside the mask is the background's own."""
    outside = np.asarray(mask) <= 127
    return bool((np.asarray(picture)[outside] == np.asarray(background)[outside]).all())
