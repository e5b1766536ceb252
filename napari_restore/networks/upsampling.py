"""Upsample features by convolutions and pixel-shuffles."""

from __future__ import annotations

import math

from torch import nn

__all__ = ["pixel_shuffle_steps"]


def pixel_shuffle_steps(scale: int, features: int) -> nn.Sequential:
    """Make steps of convolution and pixel-shuffle: one for scale 3, one per factor of 2 for powers of 2."""
    factors = [3] if scale == 3 else [2] * int(math.log2(scale))
    if math.prod(factors) != scale:
        raise ValueError(f"scale {scale} has no pixel-shuffle head; use 2, 3, 4 or 8")
    steps: list[nn.Module] = []
    for factor in factors:
        steps += [nn.Conv2d(features, features * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
    return nn.Sequential(*steps)
