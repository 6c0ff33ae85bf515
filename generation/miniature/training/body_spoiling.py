"""What the restoration network of bodies learns from: bodies as the miniature paints them, and as drawn.

As ``spoiling`` does for heads: a drawing is spoilt and painted again by the UNet in a few denoising steps, at
the size of the models. It is enlarged to the size at which the network sees a body and the drawing is drawn.
"""

from __future__ import annotations

import dataclasses
import random

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from generation.miniature import restoration
from generation.miniature.restoration import BODY_SIDE
from generation.miniature.training import captions, samples, train_unet
from generation.miniature.training.spoiling import Samples, enlarged, field, spoilt, stored
from generation.miniature.world import scenes
from generation.miniature.world.pen import SCENE, View
from generation.models.profiles import MINIATURE

TIMESTEPS = (100, 560)  # to begin at
PAINTED = 0.75  # share of a chunk that the UNet paints; the others are blurred only
CUT_OUT = 0.8  # share whose background is the place's own, as matting leaves it
MIXED = 0.08  # share that is mixed with another body: a body's colours are mostly painted right
TIMES = BODY_SIDE // SCENE


def draw(index: int) -> dict:
    """The surroundings of a subject mask, as ``picture.restoring`` crops them.

    ``picture`` and ``place``, (512, 512, 3) uint8; ``alpha``, ``hole``, ``head_hole`` and ``weight``, (512,
    512) uint8; ``skeleton``, (3, 256, 256) uint8; ``caption``; ``coarse``, the crop's enlargement.
    """
    rng = random.Random(f"body restoration {index}")
    scene = samples.scene_of("pose", index)
    hole = samples.body_hole(scene, rng)
    close_up = samples.close_up_of(hole, MINIATURE)
    view = dataclasses.replace(samples.view_of(close_up), pixels=BODY_SIDE)

    def large(mask: Image.Image) -> np.ndarray:
        mask = close_up.enlarge(mask).resize((BODY_SIDE, BODY_SIDE), Image.Resampling.BILINEAR)
        return np.asarray(mask)

    subject = np.asarray(scenes.silhouette(scene, view))
    return {
        "index": np.asarray(index),
        "coarse": np.asarray(SCENE / view.side, np.float32),
        "picture": np.asarray(scenes.draw_scene(scene, view)),
        "place": np.asarray(scenes.draw_background(scene, view)),
        "alpha": subject,
        "weight": np.where(subject > 127, 15, 5).astype(np.uint8),
        "hole": large(hole),
        "head_hole": large(samples.head_hole(scene, View(), rng)),
        "skeleton": samples.skeleton_picture(scene, close_up),
        "caption": captions.scene_caption(scene, rng) if rng.random() >= train_unet.NO_CAPTION else "",
    }


class BodySamples(Samples):
    """Makes rows of a ring out of drawn chunks, with the trained VAE and UNet."""

    @torch.no_grad()
    def __call__(self, chunk: dict) -> dict[str, torch.Tensor]:
        device = self.device
        torch.manual_seed(int(chunk["index"][0]))
        picture, place = (self.pixels(chunk, name) for name in ("picture", "place"))
        alpha, head = self.mask(chunk, "alpha"), (self.mask(chunk, "head_hole") > 0).float()
        hole = (self.mask(chunk, "hole") > 0.5).float()
        small, behind, cut = (F.avg_pool2d(one, TIMES) for one in (picture, place, alpha))
        inside = F.max_pool2d(hole, TIMES)
        begun = spoilt(small, behind, cut, device, MIXED)
        timesteps = torch.randint(*TIMESTEPS, (len(begun),), device=device.type)
        timesteps[round(PAINTED * len(begun)) :] = 0
        painted = self.painted(begun, small, inside, chunk["caption"], timesteps)
        painted = self.cut_out(painted, behind, cut)
        blur = torch.where(timesteps > 0, 1.0, 2.5) * torch.rand(len(begun), device=device.type)
        painted = enlarged(painted, torch.maximum(device.place(chunk["coarse"]), blur))
        large = F.interpolate(painted, scale_factor=TIMES, mode="bicubic").clamp(-1, 1)
        large = torch.where(hole > 0, large, picture).lerp(place, head)
        skeleton = F.interpolate(device.place(chunk["skeleton"]).float(), scale_factor=TIMES, mode="bilinear")
        return {
            "painted": stored(large),
            "picture": stored(picture),
            "place": stored(place),
            "skeleton": skeleton.round().byte(),
            "hole": (hole * (1 - head))[:, 0] > 0,
            "alpha": device.place(chunk["alpha"]),
            "weight": device.place(chunk["weight"]),
            "told": torch.zeros(len(large), restoration.TOLD, device=device.type),
            "timestep": timesteps,
        }

    def cut_out(self, painted: torch.Tensor, place: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
        """The paintings, mostly with the place around a subject with a soft, somewhat wrong outline."""
        count, _, side, _ = painted.shape
        wrong = alpha + 0.35 * field(count, 1, 10, side, self.device) * torch.rand(
            count, 1, 1, 1, device=self.device.type
        )
        soft = F.avg_pool2d(F.pad(wrong, (2, 2, 2, 2), mode="replicate"), 5, 1)
        soft = ((soft - 0.25) * 2).clamp(0, 1)
        chosen = torch.rand(count, 1, 1, 1, device=self.device.type) < CUT_OUT
        return torch.where(chosen, place.lerp(painted, soft), painted)
