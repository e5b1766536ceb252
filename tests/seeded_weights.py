"""Weights and images that are the same numbers on every machine and with every release of torch and numpy.

Only the raw bit stream of PCG64 is used, which numpy promises never to change (its distributions may), and each tensor
has a stream of its own, named by its key, so the recipe does not depend on how many tensors there are or in what order.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

DERIVED = (".attn_mask", ".relative_position_index")
"""Ends of the keys that are computed from the window and the image size; a state dict may lack them."""


def uniform(shape: Sequence[int], seed: Sequence[int]) -> np.ndarray:
    """Numbers in [-1, 1), float64."""
    raw = np.random.PCG64(list(seed)).random_raw(math.prod(shape))
    return ((np.asarray(raw, np.uint64) >> np.uint64(11)) * 2.0**-52 - 1.0).reshape(shape)


def seeded_image(shape: Sequence[int], seed: int) -> Tensor:
    """An image with values in [0, 1): noise over a slow ramp, float32."""
    height, width = shape[-2:]
    ramp = np.add.outer(np.linspace(0, 1, height), np.linspace(0, 1, width)) / 2
    return torch.from_numpy((0.4 * (uniform(shape, [seed]) + 1) / 2 + 0.6 * ramp).astype(np.float32))


def seeded_tensor(key: str, shape: Sequence[int], seed: int) -> Tensor:
    """The value of one parameter: nothing is left at the zeros and ones it starts from, so each one matters."""
    numbers = uniform(shape, [seed, zlib.crc32(key.encode())])
    if key.endswith("temperature"):
        numbers = 1.5 + numbers
    elif key.endswith("relative_position_bias_table"):
        numbers = 0.5 * numbers
    elif key.endswith("bias"):
        numbers = 0.1 * numbers
    elif len(shape) == 1:  # scale of a layer norm
        numbers = 1.0 + 0.3 * numbers
    elif key == "output.weight":  # Restormer's last: keeps the result, and so its rounding errors, of order 1
        numbers = numbers * math.sqrt(0.1 / math.prod(shape[1:]))
    else:
        numbers = numbers * math.sqrt(3.0 / math.prod(shape[1:]))
    return torch.from_numpy(numbers.astype(np.float32))


def parameter_shapes(state: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Shapes by key, without the derived buffers."""
    return {key: tuple(value.shape) for key, value in state.items() if not key.endswith(DERIVED)}


def fill(network: nn.Module, seed: int) -> None:
    """Give every parameter its seeded value, in place."""
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            parameter.copy_(seeded_tensor(key, parameter.shape, seed))
