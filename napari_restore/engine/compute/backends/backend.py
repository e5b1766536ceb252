"""What all back ends have in common, and the one that needs nothing: torch as it is."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from napari_restore.engine.hardware.device import Device

__all__ = ["Backend", "Eager"]


class Backend(ABC):
    """Runs a network on a device, in a precision; another back end rounds the last bits another way.

    It is called by several threads at a time, each of which has told torch how many threads it may use.
    """

    @abstractmethod
    def __call__(self, tiles: Tensor) -> Tensor:
        """Restore a batch.

        Parameters
        ----------
        tiles
            ``(b, channels, height, width)`` float32, on the device. The caller is in `torch.inference_mode`.

        Returns
        -------
        torch.Tensor
            ``(b, channels, height * scale, width * scale)`` on the device. The next call on the same thread may
            overwrite it.
        """


class Eager(Backend):
    """Torch as it is.

    Parameters
    ----------
    network
        In evaluation mode, on the device; or what stands for it.
    device, precision
        See `napari_restore.engine.planning.recipe.Recipe`.
    """

    def __init__(self, network: nn.Module, device: Device, precision: str = "float32") -> None:
        self._network, self._device, self._precision = network, device, precision

    def __call__(self, tiles: Tensor) -> Tensor:
        with torch.autocast(self._device.kind, torch.bfloat16, enabled=self._precision == "bfloat16"):
            return self._network(tiles)  # type: ignore[no-any-return]
