"""Run a network through torch's compiler; it is compiled at its first batch."""

from __future__ import annotations

import logging
import threading
from contextlib import nullcontext
from typing import Any, Literal

import torch
from torch import Tensor, nn

from napari_restore.engine.compute.backends.backend import Backend, Eager
from napari_restore.engine.compute.backends.recorded import Recorded
from napari_restore.engine.hardware.compiling import import_compiler
from napari_restore.engine.hardware.device import Device
from napari_restore.errors import Cancelled
from napari_restore.networks.restormer import TransformerBlock
from napari_restore.networks.swin_layers import SwinLayer

__all__ = ["Compiled"]

_log = logging.getLogger(__name__)

_VARIANTS = 1000
"""Largest number of compiled variants of a block in a process; each model, tile size and precision needs five."""


class _CompiledBlock(nn.Module):
    """A compiled block, in a module of its own: what stops a network before a block is not to be compiled."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, features: Tensor) -> Tensor:
        return self.block(features)  # type: ignore[no-any-return]


class Compiled(Backend):
    """A network that is compiled at its first batch, for tiles of one shape.

    On a CPU, the network's blocks are compiled, and equal blocks share the compiled code: compiling the whole network
    took four times as long and gained no more. On CUDA, the whole network is compiled, and the kernels of a batch are
    recorded as a CUDA graph (`Recorded`), so that launching them takes no CPU time. If compiling fails (for example
    because Python's headers are not installed), that is logged, and the network runs without being compiled.

    Parameters
    ----------
    network : torch.nn.Module
        Network in evaluation mode, on `device`. On a CPU its blocks are changed in place.
    device : Device
        Device of the network.
    precision : {"float32", "bfloat16"}
        Precision of the network.
    """

    def __init__(self, network: nn.Module, device: Device, precision: str = "float32") -> None:
        import_compiler()
        if device.is_cuda:
            compiled: Any = torch.compile(network, dynamic=False)
            self._network: Backend = Recorded(Eager(compiled, device, precision))
        else:
            for stage in [part for part in network.modules() if isinstance(part, nn.Sequential)]:
                for number, block in enumerate(stage):
                    if isinstance(block, TransformerBlock):
                        block.compile(dynamic=False)
                        stage[number] = _CompiledBlock(block)
            self._network = Eager(network, device, precision, layers=(_CompiledBlock, SwinLayer))
        self._state: Literal["untried", "works", "fails"] = "untried"
        self._first = threading.Lock()

    def __call__(self, tiles: Tensor) -> Tensor:
        with self._first if self._state == "untried" else nullcontext():  # concurrent batches wait until it is compiled
            return self._restored(tiles)

    def _restored(self, tiles: Tensor) -> Tensor:
        _allow_variants()
        if self._state == "fails":
            return self._as_it_is(tiles)
        try:
            result = self._network(tiles)
        except Exception as error:
            if self._state == "works" or isinstance(error, torch.OutOfMemoryError | Cancelled):
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            _log.warning("the network could not be compiled and runs without: %s", reason)
            self._state = "fails"
            return self._as_it_is(tiles)
        self._state = "works"
        return result

    def _as_it_is(self, tiles: Tensor) -> Tensor:
        network = self._network.network if isinstance(self._network, Recorded) else self._network
        with torch.compiler.set_stance("force_eager"):
            return network(tiles)


def _allow_variants() -> None:
    """Raise torch's limit of 8 compiled variants of a function. Beyond the limit torch runs eagerly, without a warning.

    In some versions of torch the limit belongs to the thread, in others to the process.
    """
    dynamo = import_compiler()
    for name in ("recompile_limit", "accumulated_recompile_limit"):
        if getattr(dynamo.config, name, _VARIANTS) < _VARIANTS:
            setattr(dynamo.config, name, _VARIANTS)
