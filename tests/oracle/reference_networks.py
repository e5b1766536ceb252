"""The authors' networks as spandrel packages them, called with our names for the hyper-parameters.

They are called and never read from: nothing in `napari_restore` comes from their source.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from functools import cache
from types import ModuleType
from typing import Any

import torch
from torch import nn

_SWINIR_NAMES = {
    "in_channels": "in_chans",
    "heads": "num_heads",
    "window": "window_size",
    "scale": "upscale",
    "residual_conv": "resi_connection",
}
_RESTORMER_NAMES = {
    "in_channels": "inp_channels",
    "blocks": "num_blocks",
    "refinement_blocks": "num_refinement_blocks",
    "expansion": "ffn_expansion_factor",
    "layer_norm": "LayerNorm_type",
    "dual_pixel": "dual_pixel_task",
}
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)


@cache
def _import_torchvision() -> torch.library.Library | None:
    """Import torchvision, which spandrel needs, also beside a CPU build of torch.

    The torchvision wheel that pairs with our torch is built for CUDA. Beside a CPU torch its compiled operators do not
    load, and its import stops at two operators that it cannot find. Neither network calls them, so their signatures,
    with no implementation, are declared here; the rest is the real torchvision. Where it imports by itself nothing is
    declared. The declarations are withdrawn when the returned object dies, so it is kept.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for signature in _OPERATORS:
            library.define(signature)
        importlib.import_module("torchvision")
        return library
    return None


@cache
def _architecture(module: str) -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs to fix: a missing image extension, torch.jit, ...
        _import_torchvision()
        return importlib.import_module(module)


def _renamed(parameters: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    lists = {key: list(value) if isinstance(value, tuple) else value for key, value in parameters.items()}
    return {names.get(key, key): value for key, value in lists.items()}


def reference_swinir(parameters: dict[str, Any], patch: int | None = None) -> nn.Module:
    """spandrel's SwinIR; `patch` is the image size that its mask buffers are made for."""
    theirs = {"mlp_ratio": 2.0, **_renamed(parameters, _SWINIR_NAMES)}
    if theirs.pop("out_channels") != theirs["in_chans"]:
        raise ValueError("spandrel's SwinIR has as many channels out as in")
    head = theirs.pop("head")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.meshgrid's, about its indexing argument
        network: nn.Module = _architecture("spandrel.architectures.SwinIR").SwinIR(
            **theirs, upsampler="" if head == "none" else head, img_size=patch or 8 * theirs["window_size"]
        )
    return network.eval()


def reference_restormer(parameters: dict[str, Any]) -> nn.Module:
    """spandrel-extra-arches' Restormer."""
    module = _architecture("spandrel_extra_arches.architectures.Restormer")
    network: nn.Module = module.Restormer(**_renamed(parameters, _RESTORMER_NAMES))
    return network.eval()


def reference(network: str, parameters: dict[str, Any]) -> nn.Module:
    """Either of them, by the name of our class."""
    return {"SwinIR": reference_swinir, "Restormer": reference_restormer}[network](parameters)
