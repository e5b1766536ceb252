"""The interface of back ends, several in sequence, and the back end that needs no preparation: eager torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from napari_restore.engine.compute.backends.stopping import stop_between
from napari_restore.engine.hardware.device import Device
from napari_restore.networks.restormer import TransformerBlock
from napari_restore.networks.swin_layers import SwinLayer

__all__ = ["Backend", "Eager", "InSequence"]


class Backend(ABC):
    """A network that is ready to run on a device, in a precision. Results of two back ends differ in the last bits.

    Several threads call it at the same time; each has set its number of torch threads.
    """

    @abstractmethod
    def __call__(self, tiles: Tensor) -> Tensor:
        """Restore a batch.

        Parameters
        ----------
        tiles : torch.Tensor
            ``(b, channels, height, width)`` float32, on the device. The caller is in `torch.inference_mode`.

        Returns
        -------
        torch.Tensor
            ``(b, channels, height * scale, width * scale)`` on the device. The next call on the same thread may
            overwrite it.
        """


class InSequence(Backend):
    """Networks of which each takes the result of the one before.

    Parameters
    ----------
    backends : sequence of Backend
        The networks, in the order in which they run.
    """

    def __init__(self, backends: Sequence[Backend]) -> None:
        self._backends = tuple(backends)

    def __call__(self, tiles: Tensor) -> Tensor:
        for backend in self._backends:
            tiles = backend(tiles)
        return tiles


class Eager(Backend):
    """A network in torch, without compiling it. On a CPU it stops between two layers, if its thread was stopped.

    Parameters
    ----------
    network : torch.nn.Module
        Network in evaluation mode, on the device; or a compiled function of it.
    device : Device
        Device of the network.
    precision : {"float32", "bfloat16"}
        Precision of the network.
    layers : sequence of types of torch.nn.Module
        Types of the layers between which it stops.
    """

    def __init__(
        self, network: nn.Module, device: Device, precision: str = "float32",
        layers: Sequence[type[nn.Module]] = (TransformerBlock, SwinLayer),
    ) -> None:  # fmt: skip
        self._network, self._device, self._precision = network, device, precision
        if device.is_cpu:
            stop_between(network, *layers)

    def __call__(self, tiles: Tensor) -> Tensor:
        with torch.autocast(self._device.kind, torch.bfloat16, enabled=self._precision == "bfloat16"):
            return self._network(tiles)  # type: ignore[no-any-return]
