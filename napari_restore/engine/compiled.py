"""Whether a run is long enough to compile its network first, and compiling it."""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["PAYS_FROM", "Compiled", "can_compile", "pays"]

_log = logging.getLogger(__name__)

PAYS_FROM = {"cpu": 100e6, "cuda": 20e9}
"""Pixels in all tiles of a run from which compiling pays for itself.

Both the time to compile and the time saved a pixel grow with the depth of a network, so their ratio hardly depends on
it. CPU: the bundled denoiser took 147 s to compile, and 0.69 instead of 1.01 s for a tile of 256 x 256 pixels, on one
core, which is even after 30 megapixels. CUDA: assumed, for a device about 200 times as fast.
"""


def can_compile(device: str) -> bool:
    """Tell whether what torch compiles with is on this machine: a C++ compiler, or Triton for a GPU."""
    if device.startswith("cuda"):
        return importlib.util.find_spec("triton") is not None
    return device == "cpu" and any(shutil.which(name) for name in ("g++", "clang++"))


def pays(device: str, pixels: float) -> bool:
    """Tell whether a run over tiles of so many pixels in all ends sooner if its network is compiled first."""
    return pixels >= PAYS_FROM.get(device.partition(":")[0], float("inf")) and can_compile(device)


class Compiled:
    """A network that is compiled at its first batch, for tiles of one shape.

    On CUDA the kernels of a batch are recorded as a graph, so launching them takes no time of the CPU. Where compiling
    fails (a compiler without Python's headers, say), that is logged and the network runs as it is.

    Parameters
    ----------
    network
        In evaluation mode, on its device.
    device
        See `Recipe`.
    """

    def __init__(self, network: nn.Module, device: str) -> None:
        mode = "reduce-overhead" if device.startswith("cuda") else "default"
        self._network = network
        self._compiled: Callable[[Tensor], Tensor] | None = torch.compile(network, dynamic=False, mode=mode)
        self._works = False

    def __call__(self, tiles: Tensor) -> Tensor:
        if self._compiled is None:
            return self._network(tiles)  # type: ignore[no-any-return]
        try:
            result = self._compiled(tiles)
        except Exception as error:
            if self._works or isinstance(error, torch.OutOfMemoryError):
                raise
            _log.warning("the network could not be compiled and runs as it is: %s", str(error).strip().split("\n")[0])
            self._compiled = None
            return self._network(tiles)  # type: ignore[no-any-return]
        self._works = True
        return result
