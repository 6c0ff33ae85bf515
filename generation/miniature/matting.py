"""Tells the painted subject from the background that was painted around it.

A small U-Net (Ronneberger et al. 2015) sees the painting, the empty place, the skeleton and the mask. It says
for each pixel how much of it is the subject: an alpha matte. ``training.train_matting`` trains it.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

FILE = Path(__file__).parent / "detector_models" / "matting.safetensors"
WIDTHS = (16, 24, 40, 64)  # channels at full size, half, quarter and eighth
INPUTS = 11  # see inputs_of
STRIDE = 2 ** (len(WIDTHS) - 1)  # a picture's sides are filled up to multiples of it


class Block(nn.Module):
    def __init__(self, before: int, after: int):
        super().__init__()
        self.first, self.second = (nn.Conv2d(count, after, 3, padding=1) for count in (before, after))
        self.norm = nn.GroupNorm(8, after)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.norm(self.first(x)))))


class MattingNetwork(nn.Module):
    """(B, INPUTS, H, W) to logits of alpha (B, 1, H, W); the sides are multiples of ``STRIDE``."""

    def __init__(self):
        super().__init__()
        pairs = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.down = nn.ModuleList([Block(INPUTS, WIDTHS[0]), *(Block(a, b) for a, b in pairs)])
        self.up = nn.ModuleList([Block(a + b, a) for a, b in pairs])
        self.out = nn.Conv2d(WIDTHS[0], 1, 1)

    def forward(self, x):
        levels = []
        for number, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if number else x)
            levels.append(x)
        for level, block in reversed(list(zip(levels, self.up, strict=False))):
            x = block(torch.cat([level, F.interpolate(x, scale_factor=2)], 1))
        return self.out(x)


def inputs_of(
    painted: torch.Tensor, place: torch.Tensor, skeleton: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """(B, INPUTS, H, W) of pictures (B, H, W, 3) uint8 and a mask (B, H, W) bool."""
    painted, place, skeleton = (
        picture.permute(0, 3, 1, 2).float().div(127.5).sub(1) for picture in (painted, place, skeleton)
    )
    difference = painted - place
    largest = difference.abs().amax(1, keepdim=True)
    return torch.cat([painted, difference, largest, skeleton, mask[:, None].float()], 1)


def inputs_of_pictures(
    painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image, stride: int
) -> torch.Tensor:
    """(1, INPUTS, H, W) of pictures and a mask of one size, filled up to multiples of ``stride``."""
    pictures = [torch.from_numpy(np.array(one.convert("RGB"))[None]) for one in (painted, place, skeleton)]
    seen = inputs_of(*pictures, torch.from_numpy(np.array(mask)[None] > 127))
    fill = (0, -painted.width % stride, 0, -painted.height % stride)
    return F.pad(seen, fill, mode="replicate")


@functools.cache
def _network() -> MattingNetwork:
    network = MattingNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(FILE).items()})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def alpha(painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image) -> np.ndarray:
    """(H, W) float32, 0..1: how much of each pixel is the subject. Pictures and mask have one size."""
    seen = inputs_of_pictures(painted, place, skeleton, mask, STRIDE)
    return _network()(seen)[0, 0, : painted.height, : painted.width].sigmoid().numpy()
