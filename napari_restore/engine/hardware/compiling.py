"""Decide whether a run compiles its network: whether this machine can, and whether it saves time."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from typing import Any

from napari_restore.engine.hardware.device import Device
from napari_restore.models.card import ModelCard

__all__ = ["PAYS_FROM", "can_compile", "gains", "import_compiler", "pays"]

PAYS_FROM = {"cpu": 20e6, "cuda": 2e9}
"""Number of pixels in all tiles of a run from which compiling saves time, with a safety margin; by kind of device.

The time to compile and the time saved per pixel both grow with the depth of a network, so their ratio hardly depends
on it. CPU: compiling the blocks of Restormer took 23 to 48 s on one core, which was saved again after 1.4 to 5
megapixels (the bundled denoiser restored 256 x 256 pixels in 0.62 instead of 0.96 s, in bfloat16 in 0.30 instead of
0.64 s). Compiled blocks of SwinIR are no faster on a CPU. CUDA: on an H100, compiling the bundled denoiser took 57 s
beside other work, and eight tiles of 256 x 256 pixels then took 10 instead of 45 ms in bfloat16, which saves the time
after 0.9 gigapixels.
"""


def can_compile(device: Device) -> bool:
    """Return whether this machine has the compiler that torch needs: a C++ compiler, or Triton for a GPU.

    Parameters
    ----------
    device : Device
        Device that networks would be compiled for.

    Returns
    -------
    bool
        Whether it has.
    """
    if device.is_cuda:
        return importlib.util.find_spec("triton") is not None
    return device.is_cpu and any(shutil.which(name) for name in ("g++", "clang++"))


def gains(card: ModelCard, device: Device) -> bool:
    """Return whether a compiled network runs faster: any network on CUDA, only Restormer on a CPU."""
    restormer = any(network.architecture == "restormer" for network in card.networks)
    return device.is_cuda or (device.is_cpu and restormer)


def pays(card: ModelCard, device: Device, pixels: float) -> bool:
    """Return whether compiling shortens a run whose tiles have `pixels` pixels in total."""
    enough = pixels >= PAYS_FROM.get(device.kind, float("inf"))
    return enough and gains(card, device) and can_compile(device)


def import_compiler() -> Any:
    """Import torch's compiler, which optimisers of torch need too, and return its module ``torch._dynamo``.

    With it, torch imports Triton, which compiles for GPUs. Where there is none, Triton is left out: it ends a process
    that already draws by software OpenGL, as napari does there (both bring LLVM). Compiling itself imports it still.
    """
    import torch

    if "torch._dynamo" not in sys.modules and "triton" not in sys.modules and not torch.cuda.is_available():
        sys.modules["triton"] = None  # type: ignore[assignment]
        try:
            return importlib.import_module("torch._dynamo")
        finally:
            del sys.modules["triton"]
    return importlib.import_module("torch._dynamo")
