"""The back ends of this machine: which there are, and which one a run is given."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Literal, NamedTuple

from napari_restore.engine.hardware import compiling
from napari_restore.engine.hardware.converted import Conversion, find_converted
from napari_restore.engine.hardware.device import Device
from napari_restore.errors import RecipeError
from napari_restore.models.card import ModelCard

__all__ = ["INSTALL", "BackendName", "Choice", "check_backend", "choose_backend", "openvino_version"]

BackendName = Literal["eager", "compiled", "openvino"]

INSTALL = 'pip install "napari-restore[openvino]"'
"""How OpenVINO is installed."""
_OPENVINO_PAYS_FROM = 3e6
"""Pixels in all tiles of a run from which converting a network pays for itself.

Both the time to convert and the time saved a pixel grow with the depth of a network, see
`napari_restore.engine.hardware.compiling.PAYS_FROM`. The bundled denoiser takes about 10 s of one core for a tile of
256 x 256, and saves half of 15 microseconds a pixel.
"""
_LONG_RUN = 20e6
"""Pixels in all tiles of a run from which it says what OpenVINO would gain where that is not installed."""
_GAINS = {"restormer": 1.8, "swinir": 2.0}
"""How many times as fast as torch OpenVINO ran the networks, in float32 on one core with AVX-512."""


class Choice(NamedTuple):
    """The back end of a run, and what there is to say of it: a clause, or nothing."""

    name: BackendName
    why: str


@cache
def openvino_version() -> str | None:
    """Version of OpenVINO; None where it is not installed. It is not imported for that."""
    try:
        return metadata.version("openvino") if find_spec("openvino") else None
    except metadata.PackageNotFoundError:
        return None


def check_backend(name: BackendName, device: Device) -> None:
    """Refuse a back end that this machine or the device does not have.

    Raises
    ------
    RecipeError
        With the way out.
    """
    if name != "openvino":
        return
    if not device.is_cpu:
        raise RecipeError(
            f"backend 'openvino' runs on a CPU, and not on {str(device)!r}; use device='cpu', or 'eager'."
        )
    if openvino_version() is None:
        raise RecipeError(
            f"backend 'openvino' is not installed here; {INSTALL}, or use backend='eager', which moves the last bits."
        )


def choose_backend(
    card: ModelCard, device: Device, precision: str, shape: tuple[int, ...], pixels: float, wanted: BackendName | None
) -> Choice:
    """Choose what runs the network.

    Parameters
    ----------
    card, device, precision
        Of the run.
    shape
        Of a batch: ``(b, channels, height, width)``.
    pixels
        In all tiles of the run.
    wanted
        What the recipe says; None: the fastest that is here, once what it takes to get it ready is counted in.

    Raises
    ------
    RecipeError
        If the one that is wanted is not here.
    """
    if wanted is not None:
        check_backend(wanted, device)
        if wanted == "compiled" and not compiling.gains(card, device):
            return Choice("eager", "compiling gains nothing here")
        return Choice(wanted, "")
    if device.is_cpu and (version := openvino_version()):
        there = find_converted(Conversion(card, shape, precision, version), whole=False)
        if there is not None and not there.refused:
            return Choice("openvino", "converted before")
        if there is None and pixels >= _OPENVINO_PAYS_FROM:
            return Choice("openvino", "converting pays in a run this long")
    if compiling.pays(card, device, pixels):
        return Choice("compiled", "compiling pays in a run this long")
    missing = device.is_cpu and openvino_version() is None and pixels >= _LONG_RUN
    gain = f"OpenVINO would take about {100 / _GAINS[card.architecture]:.0f} % of the time: {INSTALL}"
    return Choice("eager", gain if missing else "")
