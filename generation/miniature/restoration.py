"""Mends what the UNet painted: head and body by a network each, as face restoration does; then mean shift.

A U-Net sees the painting, the empty place, the skeleton and the mask. The head's is also told the visitor's
looks and face embedding. It answers with the subject's clean pixels and an alpha matte, of which the picture
is composed. ``training.train_restoration`` trains both against a critic, as pix2pixHD (Wang et al. 2018) and
GFPGAN (Wang et al. 2021) do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from generation.miniature import detectors
from generation.miniature.matting import INPUTS, inputs_of_pictures
from generation.vision.looks import PLAIN, VALUES
from generation.vision.visitor import UNKNOWN, Visitor

FILE = Path(__file__).parent / "detector_models" / "restoration.safetensors"
BODY_FILE = FILE.with_name("body_restoration.safetensors")
UNSHUFFLE = 2  # pixels of a side that become channels, which costs less than layers at the full size
WIDTHS = (32, 32, 64, 96, 128)  # channels at half the size, a quarter, and so on
DEPTHS = (1, 1, 1, 2, 2)  # blocks: the small sizes cost little, and there the face is seen as a whole
LOOKS = sum(map(len, VALUES.values()))
TOLD = LOOKS + detectors.NUMBERS  # see ``told``
SIDE = 256  # pixels: how large a head's surroundings are restored
BODY_SIDE = 512  # pixels: how large a body's surroundings are restored
BODY_UNSHUFFLE = 4
FLAT_SIDE = 512  # pixels: the longer side of a picture whose colours are evened out
RADIUS, COLOUR_RADIUS = 8, 24  # of the mean shift: pixels, and differences of 255
LEAST = 10  # difference of 255 from the place, from which on a pixel is the person's
GAP = 9  # pixels: holes in the person up to this size are the person's, too
EMBEDDING_SCALE = 10.0  # brings an embedding's numbers to a deviation of about 1


class Block(nn.Module):
    """A residual block from ``before`` to ``after`` channels. What is told moves each after its norm."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.norm = nn.GroupNorm(8, after)
        self.told = nn.Linear(TOLD, after)
        self.past = nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        inner = self.norm(self.first(x)) + self.told(told)[..., None, None]
        return self.past(x) + self.second(F.silu(inner))


class Level(nn.ModuleList):
    """Blocks of one size, one after the other."""

    def __init__(self, before: int, after: int, depth: int):
        super().__init__(Block(after if number else before, after) for number in range(depth))

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        for block in self:
            x = block(x, told)
        return x


class RestorationNetwork(nn.Module):
    """(B, INPUTS, H, W) and what is told of the visitor (B, TOLD) to the subject (B, 3, H, W), about -1..1,
    and logits of alpha (B, 1, H, W).

    The sides are multiples of ``stride``. The first three inputs are the painting, to which the network adds.
    Pixels are unshuffled to channels at the entrance and shuffled back at the exit (Shi et al. 2016).
    """

    def __init__(self, unshuffle: int = UNSHUFFLE):
        super().__init__()
        self.unshuffle, self.stride = unshuffle, unshuffle * 2 ** (len(WIDTHS) - 1)
        square, finer = unshuffle**2, list(zip(WIDTHS, WIDTHS[1:], DEPTHS, strict=False))
        self.down = nn.ModuleList(map(Level, (square * INPUTS, *WIDTHS), WIDTHS, DEPTHS))
        self.middle = Block(WIDTHS[-1], WIDTHS[-1])
        self.up = nn.ModuleList(Level(fine + coarse, fine, depth) for fine, coarse, depth in finer)
        self.out = nn.Conv2d(WIDTHS[0], square * 4, 3, padding=1)

    def forward(self, x: torch.Tensor, told: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        painting, levels = x[:, :3], []
        x = F.pixel_unshuffle(x, self.unshuffle)
        for number, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if number else x, told)
            levels.append(x)
        x = self.middle(levels.pop(), told)
        for level, block in reversed(list(zip(levels, self.up, strict=True))):
            x = block(torch.cat([level, F.interpolate(x, scale_factor=2)], 1), told)
        added, alpha = F.pixel_shuffle(self.out(x), self.unshuffle).split((3, 1), 1)
        return painting + added, alpha


def body_network() -> RestorationNetwork:
    """The network of bodies, which is told nothing: zeros."""
    return RestorationNetwork(BODY_UNSHUFFLE)


def told(visitor: Visitor) -> torch.Tensor:
    """(TOLD,): 1 for each value that the looks name, then the embeddings' mean; 0 where nothing is known."""
    known = PLAIN | visitor.looks if visitor.looks else {}
    values = [float(known.get(name) == word) for name, words in VALUES.items() for word in words]
    mean = np.mean(visitor.embeddings, 0) if visitor.embeddings else np.zeros(detectors.NUMBERS)
    return torch.tensor([*values, *(EMBEDDING_SCALE * mean)], dtype=torch.float32)


@functools.cache
def _network(file: Path, build: Callable[[], RestorationNetwork]) -> RestorationNetwork:
    network = build()
    network.load_state_dict({name: value.float() for name, value in load_file(file).items()})
    return network.eval().requires_grad_(False)


def restored_head(
    painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image, visitor: Visitor
) -> tuple[Image.Image, Image.Image]:
    """The subject's clean pixels, RGB, and its alpha, L, of a head's surroundings. All pictures have one
    size."""
    return _restored(_network(FILE, RestorationNetwork), SIDE, (painted, place, skeleton, mask), visitor)


def restored_body(
    painted: Image.Image, place: Image.Image, skeleton: Image.Image, mask: Image.Image
) -> tuple[Image.Image, Image.Image]:
    """As ``restored_head``, of a body's surroundings. The head isn't in ``painted`` and not in ``mask``."""
    return _restored(_network(BODY_FILE, body_network), BODY_SIDE, (painted, place, skeleton, mask), UNKNOWN)


@torch.no_grad()
def _restored(
    network: RestorationNetwork, side: int, pictures: Sequence[Image.Image], visitor: Visitor
) -> tuple[Image.Image, Image.Image]:
    """The network's subject and alpha of painting, place, skeleton and mask.

    They are brought to ``side`` for the network, since it was trained at that size. What it adds to the
    painting is brought back, so a large painting keeps its finer detail.
    """
    painted = pictures[0]
    times = side / max(painted.size)
    size = tuple(round(times * length) for length in painted.size)
    seen = inputs_of_pictures(
        *(one.resize(size, Image.Resampling.BICUBIC) for one in pictures), network.stride
    )
    subject, alpha = network(seen, told(visitor)[None])
    answer = torch.cat([(subject - seen[:, :3]) / 2, alpha.sigmoid()], 1)[..., : size[1], : size[0]]
    if times < 1 or network.unshuffle > UNSHUFFLE:
        # Pixels that are enlarged, or shuffled back from many channels, would be seen as steps. So there is a
        # binomial filter: two means of two pixels.
        answer = F.pad(answer, (1, 1, 1, 1), mode="replicate")
        answer = F.avg_pool2d(F.avg_pool2d(answer, 2, 1), 2, 1)
    answer = F.interpolate(answer, painted.size[::-1], mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    added, alpha = answer.mul(255).numpy()[..., :3], answer.mul(255).numpy()[..., 3]
    colours = (np.asarray(painted.convert("RGB")) + added).clip(0, 255).round().astype(np.uint8)
    return Image.fromarray(colours), Image.fromarray(alpha.clip(0, 255).round().astype(np.uint8))


def flattened(painted: Image.Image, place: Image.Image) -> Image.Image:
    """``painted`` with even colours where it differs from ``place``. Both are RGB and have one size.

    Drawn clothes and skin have one colour and sharp edges; the UNet's are mottled and soft. Mean shift brings
    each pixel to the most frequent colour near it (Comaniciu and Meer 2002). The pictures are brought to
    ``FLAT_SIDE`` for it, and the change is brought back.
    """
    times = FLAT_SIDE / max(painted.size)
    size = tuple(round(times * side) for side in painted.size)
    seen, behind = (np.asarray(one.resize(size, Image.Resampling.BICUBIC)) for one in (painted, place))
    differs = (np.abs(seen.astype(int) - behind).max(axis=2) > LEAST).astype(np.uint8)
    person = cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8)).astype(np.float32)
    share = cv2.GaussianBlur(person, (0, 0), 1.2) * person
    flat = cv2.pyrMeanShiftFiltering(seen, RADIUS, COLOUR_RADIUS)
    change = torch.from_numpy((flat.astype(np.float32) - seen) * share[..., None]).permute(2, 0, 1)[None]
    change = F.interpolate(change, painted.size[::-1], mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    colours = (np.asarray(painted) + change.numpy()).clip(0, 255).round().astype(np.uint8)
    return Image.fromarray(colours)
