"""Whether this machine can compile a network, and whether a run is long enough for that to pay."""

from __future__ import annotations

import importlib.util
import shutil

from napari_restore.engine.hardware.device import Device
from napari_restore.models.card import ModelCard

__all__ = ["PAYS_FROM", "can_compile", "gains", "pays"]

PAYS_FROM = {"cpu": 20e6, "cuda": 20e9}
"""Pixels in all tiles of a run from which compiling pays for itself, with some to spare.

Both the time to compile and the time saved a pixel grow with the depth of a network, so their ratio hardly depends on
it. CPU: the blocks of Restormer are compiled, which took 23 to 48 s on one core and is even after 1.4 to 5 megapixels
(256 x 256 pixels of the bundled denoiser in 0.62 instead of 0.96 s, in bfloat16 0.30 instead of 0.64 s); SwinIR's gain
nothing there. CUDA: assumed, for a device some hundred times as fast.
"""


def can_compile(device: Device) -> bool:
    """Tell whether what torch compiles with is on this machine: a C++ compiler, or Triton for a GPU."""
    if device.is_cuda:
        return importlib.util.find_spec("triton") is not None
    return device.is_cpu and any(shutil.which(name) for name in ("g++", "clang++"))


def gains(card: ModelCard, device: Device) -> bool:
    """Tell whether a network runs faster compiled: any on CUDA, and Restormer, whose blocks are compiled, on a CPU."""
    return device.is_cuda or (device.is_cpu and card.architecture == "restormer")


def pays(card: ModelCard, device: Device, pixels: float) -> bool:
    """Tell whether a run over tiles of so many pixels in all ends sooner if its network is compiled first."""
    enough = pixels >= PAYS_FROM.get(device.kind, float("inf"))
    return enough and gains(card, device) and can_compile(device)
