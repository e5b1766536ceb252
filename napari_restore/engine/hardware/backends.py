"""List the back ends of this machine, and choose the back end of a run."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Literal, NamedTuple

from napari_restore.engine.hardware import compiling
from napari_restore.engine.hardware.converted import Conversion, Converted, find_converted
from napari_restore.engine.hardware.device import Device
from napari_restore.errors import RecipeError
from napari_restore.models.card import ModelCard
from napari_restore.ways_out import WayOut

__all__ = ["INSTALL", "BackendName", "Choice", "check_backend", "choose_backend", "openvino_version"]

BackendName = Literal["eager", "compiled", "openvino"]

INSTALL = 'pip install "napari-restore[openvino]"'
"""Command that installs OpenVINO."""
_OPENVINO_PAYS_FROM = 3e6
"""Pixels in all tiles of a run from which converting a network pays for itself.

The time of the conversion and the time saved per pixel both grow with the depth of a network, see
`napari_restore.engine.hardware.compiling.PAYS_FROM`. The bundled denoiser is converted in about 10 s of one core for
tiles of 256 x 256, and saves half of 15 microseconds per pixel.
"""
_LONG_RUN = 20e6
"""Pixels in all tiles of a run from which the plan recommends OpenVINO if it is not installed."""
_GAINS = {"restormer": 1.8, "swinir": 2.0}
"""Measured speed of OpenVINO relative to torch, in float32 on one core with AVX-512."""


class Choice(NamedTuple):
    """The back end of a run, the reason of an automatic choice ("" if none), and whether it has to be prepared."""

    name: BackendName
    why: str
    prepares: bool = False


@cache
def openvino_version() -> str | None:
    """Return the version of OpenVINO, without importing it; None if it is not installed."""
    try:
        return metadata.version("openvino") if find_spec("openvino") else None
    except metadata.PackageNotFoundError:
        return None


def check_backend(name: BackendName, device: Device) -> None:
    """Check that this machine and a device have a back end.

    Parameters
    ----------
    name : {"eager", "compiled", "openvino"}
        Back end.
    device : Device
        Device of the run.

    Raises
    ------
    RecipeError
        If they do not.
    """
    if name != "openvino":
        return
    if not device.is_cpu:
        raise RecipeError(
            f"OpenVINO runs on a CPU, and not on {str(device)!r}",
            WayOut(
                "use device='cpu', or backend='eager'.",
                "use --device cpu, or --backend eager.",
                "choose cpu as the Device, or set Back end to eager.",
            ),
        )
    if openvino_version() is None:
        raise RecipeError(
            "OpenVINO is not installed",
            WayOut(
                f"{INSTALL}, or use backend='eager', which changes the last bits.",
                f"{INSTALL}, or use --backend eager, which changes the last bits.",
                f"{INSTALL}, or set Back end to eager, which changes the last bits.",
            ),
        )


def choose_backend(
    card: ModelCard, device: Device, precision: str, shape: tuple[int, ...], pixels: float, wanted: BackendName | None
) -> Choice:
    """Choose the back end of a run.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    device : Device
        Device of the run.
    precision : {"float32", "bfloat16"}
        Precision of the network.
    shape : tuple of int
        Shape of a batch: ``(b, channels, height, width)``.
    pixels : float
        Number of pixels in all tiles of the run.
    wanted : {"eager", "compiled", "openvino"} or None
        Back end in the recipe. None to choose the one with which the run takes the least time, including conversion or
        compilation.

    Returns
    -------
    Choice
        The back end and the reason.

    Raises
    ------
    RecipeError
        If the wanted back end is not available.
    """
    if wanted is not None:
        check_backend(wanted, device)
        if wanted == "compiled" and not compiling.gains(card, device):
            return Choice("eager", "compiling gains nothing here")
        converts = wanted == "openvino" and None in _found(card, shape, precision)
        return Choice(wanted, "", converts or wanted == "compiled")
    if device.is_cpu and openvino_version():
        found = _found(card, shape, precision)
        if not any(there is not None and there.refused for there in found):
            if None not in found:
                return Choice("openvino", "converted before")
            if pixels >= _OPENVINO_PAYS_FROM:
                return Choice("openvino", "converting pays in a run this long", True)
    if compiling.pays(card, device, pixels):
        return Choice("compiled", "compiling pays in a run this long", True)
    missing = device.is_cpu and openvino_version() is None and pixels >= _LONG_RUN
    gain = f"OpenVINO would take about {100 / _GAINS[card.architecture]:.0f} % of the time: {INSTALL}"
    return Choice("eager", gain if missing else "")


def _found(card: ModelCard, shape: tuple[int, ...], precision: str) -> list[Converted | None]:
    """Return the converted networks of a model that are in the cache, None for each that is not."""
    conversions = [Conversion(network, shape, precision, openvino_version() or "") for network in card.networks]
    return [find_converted(conversion, whole=False) for conversion in conversions]
