"""Make the back end of a plan."""

from __future__ import annotations

from torch import nn

from napari_restore.engine.compute.backends.backend import Backend, Eager, InSequence
from napari_restore.engine.compute.backends.compiled import Compiled
from napari_restore.engine.compute.backends.openvino import OpenVINO
from napari_restore.engine.hardware.backends import BackendName, check_backend
from napari_restore.engine.hardware.device import Device
from napari_restore.engine.hardware.devices import forbid_tf32
from napari_restore.models.card import ModelCard
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR

__all__ = ["make_backend"]


def make_backend(name: BackendName, network: nn.Module, card: ModelCard, device: Device, precision: str) -> Backend:
    """Make a back end for a loaded network.

    Parameters
    ----------
    name : {"eager", "compiled", "openvino"}
        Name of the back end.
    network : torch.nn.Module
        Network with its weights, or an `nn.Sequential` of the networks of `card.chain`; it is moved to the device and
        put in evaluation mode.
    card : ModelCard
        Card of the model.
    device : Device
        Device of the run.
    precision : {"float32", "bfloat16"}
        Precision of the network.

    Returns
    -------
    Backend
        The back end.

    Raises
    ------
    RecipeError
        If the back end is not installed.
    """
    if device.is_cuda:
        forbid_tf32()
    network = network.to(str(device)).eval()
    if name == "openvino":
        check_backend(name, device)
        if card.chain:
            assert isinstance(network, nn.Sequential)
            each = zip(network, card.chain, strict=True)
            return InSequence([make_backend(name, part, of, device, precision) for part, of in each])
        assert isinstance(network, Restormer | SwinIR)
        return OpenVINO(network, Eager(network, device, precision), card, precision)
    return (Compiled if name == "compiled" else Eager)(network, device, precision)
