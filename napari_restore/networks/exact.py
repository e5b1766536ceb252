"""Keep single layers in float32 while the rest of a network computes in bfloat16."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["in_float32"]


def in_float32(layer: nn.Module, x: Tensor) -> Tensor:
    """Apply a layer in the precision of its weights, float32, also under autocast.

    This is for the first and the last convolution of a network: bfloat16 has 8 significant bits, and would quantise the
    input and the result of a 16-bit image visibly.

    Parameters
    ----------
    layer : torch.nn.Module
        The layer.
    x : torch.Tensor
        Input of the layer, of any floating-point type.

    Returns
    -------
    torch.Tensor
        Result of the layer, float32.
    """
    with torch.autocast(x.device.type, enabled=False):
        return layer(x.to(next(layer.parameters()).dtype))  # type: ignore[no-any-return]
