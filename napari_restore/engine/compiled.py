"""Whether a run is long enough to compile its network first, and compiling it."""

from __future__ import annotations

import importlib.util
import logging
import shutil
import threading
from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor, nn

from napari_restore.models.card import ModelCard
from napari_restore.networks.restormer import TransformerBlock

__all__ = ["PAYS_FROM", "Compiled", "can_compile", "gains", "pays"]

_log = logging.getLogger(__name__)

PAYS_FROM = {"cpu": 20e6, "cuda": 20e9}
"""Pixels in all tiles of a run from which compiling pays for itself, with some to spare.

Both the time to compile and the time saved a pixel grow with the depth of a network, so their ratio hardly depends on
it. CPU: the blocks of Restormer are compiled, which took 23 to 48 s on one core and is even after 1.4 to 5 megapixels
(256 x 256 pixels of the bundled denoiser in 0.62 instead of 0.96 s, in bfloat16 0.30 instead of 0.64 s); SwinIR's gain
nothing there. CUDA: assumed, for a device some hundred times as fast.
"""


def can_compile(device: str) -> bool:
    """Tell whether what torch compiles with is on this machine: a C++ compiler, or Triton for a GPU."""
    if device.startswith("cuda"):
        return importlib.util.find_spec("triton") is not None
    return device == "cpu" and any(shutil.which(name) for name in ("g++", "clang++"))


def gains(card: ModelCard, device: str) -> bool:
    """Tell whether a network runs faster compiled: any on CUDA, and Restormer, whose blocks are compiled, on a CPU."""
    return device.startswith("cuda") or (device == "cpu" and card.architecture == "restormer")


def pays(card: ModelCard, device: str, pixels: float) -> bool:
    """Tell whether a run over tiles of so many pixels in all ends sooner if its network is compiled first."""
    enough = pixels >= PAYS_FROM.get(device.partition(":")[0], float("inf"))
    return enough and gains(card, device) and can_compile(device)


class Compiled:
    """A network that is compiled at its first batch, for tiles of one shape.

    On a CPU its blocks are, which share what is compiled for them: a network compiled as a whole took four times as
    long to compile, for the same gain. On CUDA the whole is, and the kernels of a batch are recorded as a graph, so
    launching them takes no time of the CPU. Where compiling fails (a compiler without Python's headers, say), that is
    logged and the network runs as it is.

    Parameters
    ----------
    network
        In evaluation mode, on its device. On a CPU its blocks are changed in place.
    device
        See `Recipe`.
    """

    def __init__(self, network: nn.Module, device: str) -> None:
        self._network: Callable[[Tensor], Tensor] = network
        if device.startswith("cuda"):
            self._network = torch.compile(network, dynamic=False, mode="reduce-overhead")
        else:
            for block in network.modules():
                if isinstance(block, TransformerBlock):
                    block.compile(dynamic=False)
        self._state: Literal["untried", "works", "fails"] = "untried"
        self._first = threading.Lock()

    def __call__(self, tiles: Tensor) -> Tensor:
        with self._first if self._state == "untried" else nullcontext():  # other lanes wait until it is compiled
            return self._restored(tiles)

    def _restored(self, tiles: Tensor) -> Tensor:
        if self._state == "fails":
            return self._as_it_is(tiles)
        try:
            result = self._network(tiles)
        except Exception as error:
            if self._state == "works" or isinstance(error, torch.OutOfMemoryError):
                raise
            reason = " ".join(str(error).split())[:300]
            _log.warning("the network could not be compiled and runs as it is: %s", reason)
            self._state = "fails"
            return self._as_it_is(tiles)
        self._state = "works"
        return result

    def _as_it_is(self, tiles: Tensor) -> Tensor:
        with torch.compiler.set_stance("force_eager"):
            return self._network(tiles)
