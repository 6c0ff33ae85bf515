"""Repaints smeared parts of a painted subject and tells it from the place, as face restoration does.

A U-Net sees the painting, the empty place, the skeleton and the mask, and is told the visitor's looks. It
answers with the subject's clean pixels and an alpha matte, of which the picture is composed.
``training.train_restoration`` trains it against a critic, as pix2pixHD (Wang et al. 2018) and GFPGAN (Wang et
al. 2021) do.
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

from generation.miniature.matting import INPUTS, inputs_of_pictures
from generation.vision.looks import PLAIN, VALUES, Looks

FILE = Path(__file__).parent / "detector_models" / "restoration.safetensors"
WIDTHS = (16, 32, 64, 96, 128)  # channels at full size, half, and so on
LOOKS = sum(map(len, VALUES.values()))  # see ``encoded``
SIDE = 144  # pixels: how large a head's surroundings are restored
STRIDE = 2 ** (len(WIDTHS) - 1)  # a picture's sides are filled up to multiples of it


class Block(nn.Module):
    """A residual block from ``before`` to ``after`` channels. The looks move each channel after its norm."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.norm = nn.GroupNorm(8, after)
        self.told = nn.Linear(LOOKS, after)
        self.past = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        inner = self.norm(self.first(x)) + self.told(looks)[..., None, None]
        return self.past(x) + self.second(F.silu(inner))


class RestorationNetwork(nn.Module):
    """(B, INPUTS, H, W) and looks (B, LOOKS) to the subject (B, 3, H, W), about -1..1, and logits of alpha
    (B, 1, H, W).

    The sides are multiples of ``STRIDE``. The first three inputs are the painting, to which the network adds.
    """

    def __init__(self):
        super().__init__()
        pairs = list(zip(WIDTHS, WIDTHS[1:], strict=False))
        self.down = nn.ModuleList([Block(INPUTS, WIDTHS[0]), *(Block(a, b) for a, b in pairs)])
        self.middle = Block(WIDTHS[-1], WIDTHS[-1])
        self.up = nn.ModuleList([Block(a + b, a) for a, b in pairs])
        self.out = nn.Conv2d(WIDTHS[0], 4, 3, padding=1)

    def forward(self, x: torch.Tensor, looks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        painting, levels = x[:, :3], []
        for number, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if number else x, looks)
            levels.append(x)
        x = self.middle(levels.pop(), looks)
        for level, block in reversed(list(zip(levels, self.up, strict=True))):
            x = block(torch.cat([level, F.interpolate(x, scale_factor=2)], 1), looks)
        added, alpha = self.out(x).split((3, 1), 1)
        return painting + added, alpha


def encoded(looks: Looks) -> torch.Tensor:
    """(LOOKS,): 1 for each value that ``looks`` names. Where nothing is known of a person, all are 0."""
    known = PLAIN | looks if looks else {}
    values = [float(known.get(name) == word) for name, words in VALUES.items() for word in words]
    return torch.tensor(values)


@functools.cache
def _network() -> RestorationNetwork:
    network = RestorationNetwork()
    network.load_state_dict({name: value.float() for name, value in load_file(FILE).items()})
    return network.eval().requires_grad_(False)


@torch.no_grad()
def restored(
    painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image, looks: Looks
) -> tuple[Image.Image, Image.Image]:
    """The subject's clean pixels, RGB, and its alpha, L, of a head's surroundings.

    All pictures have one size. They are brought to ``SIDE`` for the network, since it was trained at that
    size. What it adds to the painting is brought back, so a large painting keeps its finer detail.
    """
    times = SIDE / max(painted.size)
    size = tuple(round(times * side) for side in painted.size)
    pictures = (one.resize(size, Image.Resampling.BICUBIC) for one in (painted, place, skeleton, mask))
    seen = inputs_of_pictures(*pictures, STRIDE)
    subject, alpha = _network()(seen, encoded(looks)[None])
    answer = torch.cat([(subject - seen[:, :3]) / 2, alpha.sigmoid()], 1)[..., : size[1], : size[0]]
    answer = F.interpolate(answer, painted.size[::-1], mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    added, alpha = answer.mul(255).numpy()[..., :3], answer.mul(255).numpy()[..., 3]
    colours = (np.asarray(painted.convert("RGB")) + added).clip(0, 255).round().astype(np.uint8)
    return Image.fromarray(colours), Image.fromarray(alpha.clip(0, 255).round().astype(np.uint8))
