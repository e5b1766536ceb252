"""What stays in float32 when the rest of a network runs in bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["in_float32"]


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer in the precision of its weights, float32, whatever autocast says.

    For a network's first and last convolution: bfloat16 has 8 significant bits, and an image of 16 bits that went
    through it at either end would come back in steps that can be seen.
    """
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))  # type: ignore[no-any-return]
