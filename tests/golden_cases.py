"""The tiny networks of the golden files: every reconstruction head, both residual convolutions, both windows, and
Restormer with each layer norm and with two views.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from seeded_weights import fill, seeded_image
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "networks" / "golden"


def _swinir(channels: int, scale: int, head: str, size: tuple[int, int], **more: Any) -> dict[str, Any]:
    parameters = {"in_channels": channels, "out_channels": channels, "scale": scale, "head": head}
    tiny = {"embed_dim": 8, "depths": (2,), "heads": (2,), "window": 8}
    return {"network": "SwinIR", "size": size, "parameters": {**tiny, **parameters, **more}}


def _restormer(size: tuple[int, int], **more: Any) -> dict[str, Any]:
    tiny = {"in_channels": 1, "out_channels": 1, "dim": 8, "blocks": (1, 2, 1, 1), "refinement_blocks": 1}
    tiny |= {"heads": (1, 2, 2, 4), "expansion": 2.66, "bias": False, "layer_norm": "BiasFree", "dual_pixel": False}
    return {"network": "Restormer", "size": size, "parameters": {**tiny, **more}}


CASES: dict[str, dict[str, Any]] = {
    "swinir_pixelshuffle_x2": _swinir(3, 2, "pixelshuffle", (13, 18)),
    "swinir_pixelshuffle_x3": _swinir(1, 3, "pixelshuffle", (16, 11)),
    "swinir_pixelshuffle_x4": _swinir(1, 4, "pixelshuffle", (9, 14)),
    "swinir_pixelshuffle_x8": _swinir(1, 8, "pixelshuffle", (8, 9)),
    "swinir_pixelshuffledirect_x2": _swinir(3, 2, "pixelshuffledirect", (16, 16)),
    "swinir_pixelshuffledirect_x3": _swinir(1, 3, "pixelshuffledirect", (13, 10)),
    "swinir_nearest_x2": _swinir(3, 2, "nearest+conv", (15, 9)),
    "swinir_nearest_x4_3conv": _swinir(1, 4, "nearest+conv", (11, 12), residual_conv="3conv"),
    "swinir_none_3conv": _swinir(3, 1, "none", (24, 17), residual_conv="3conv", depths=(2, 3), heads=(2, 4)),
    "swinir_none_window8": _swinir(1, 1, "none", (24, 33), depths=(3, 2), heads=(2, 1), mlp_ratio=3.0),
    "swinir_none_window7_range255": _swinir(1, 1, "none", (21, 30), window=7, img_range=255.0),
    "swinir_colour_window7_range255": _swinir(3, 1, "none", (14, 19), window=7, img_range=255.0),
    "restormer_biasfree": _restormer((24, 16)),
    "restormer_biasfree_colour": _restormer((16, 16), in_channels=3, out_channels=3),
    "restormer_withbias": _restormer((16, 24), layer_norm="WithBias"),
    "restormer_withbias_biases": _restormer((16, 16), layer_norm="WithBias", bias=True),
    "restormer_dual_pixel": _restormer((16, 16), layer_norm="WithBias", dual_pixel=True, in_channels=6, out_channels=3),
}


def golden_image(name: str) -> Tensor:
    """The input of a case, ``(1, channels, h, w)``."""
    case = CASES[name]
    return seeded_image((1, case["parameters"]["in_channels"], *case["size"]), seed=list(CASES).index(name))


def golden_output(network: nn.Module, image: Tensor) -> Tensor:
    """What the network makes of the image with the seeded weights."""
    fill(network, seed=7)
    with torch.inference_mode():
        return network.eval()(image)
