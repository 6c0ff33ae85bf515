"""The critic of an adversarial training: it tells drawings from what a network restored."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

WIDTH = 32


class Critic(nn.Module):
    """Judges patches of pictures (B, 6, H, W), with the skeleton, at two sizes (PatchGAN, Isola et al. 2017).

    Returns for each size the features of every layer. The last ones are the judgements, positive for
    drawings.
    """

    def __init__(self):
        super().__init__()
        wide = WIDTH
        layers = (
            (6, wide, 2),
            (wide, 2 * wide, 2),
            (2 * wide, 4 * wide, 2),
            (4 * wide, 4 * wide, 1),
            (4 * wide, 1, 1),
        )
        self.sizes = nn.ModuleList(
            nn.ModuleList(spectral_norm(nn.Conv2d(a, b, 4, stride, 1)) for a, b, stride in layers)
            for _ in range(2)
        )

    def forward(self, x: torch.Tensor) -> list[list[torch.Tensor]]:
        with torch.autocast(x.device.type, enabled=False):  # the norm's products need float32
            weights = [[layer.weight for layer in layers] for layers in self.sizes]
        found = []
        for size, layers in enumerate(self.sizes):
            seen, features = (F.avg_pool2d(x, 2) if size else x), []
            for layer, weight in zip(layers, weights[size], strict=True):
                seen = F.leaky_relu(seen, 0.2) if features else seen
                seen = F.conv2d(seen, weight, layer.bias, layer.stride, layer.padding)
                features.append(seen)
            found.append(features)
        return found
