"""Parse the devices of a recipe, so that no other code compares device names."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_restore.errors import RecipeError

__all__ = ["CPU", "Device", "parse_devices"]

_NAME = re.compile(r"(auto|cpu|cuda|mps)(?::(0|[1-9][0-9]*))?")


@dataclass(frozen=True)
class Device:
    """A device that a network runs on; `str` returns its name, such as ``"cuda:1"``.

    Attributes
    ----------
    kind : str
        ``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` for the best device of the machine, to be chosen later.
    index : int or None
        Number of the device among those of its kind, from 0. None for all GPUs, and for a kind with one device.
    """

    kind: str
    index: int | None = None

    @property
    def is_auto(self) -> bool:
        """Whether the device is not chosen yet."""
        return self.kind == "auto"

    @property
    def is_cpu(self) -> bool:
        """Whether the network runs in the host's memory."""
        return self.kind == "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether the device is a GPU of CUDA, or of ROCm, which torch calls CUDA as well."""
        return self.kind == "cuda"

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"


CPU = Device("cpu")


def parse_devices(names: str) -> tuple[Device, ...]:
    """Parse the names of one or several devices, separated by commas.

    Parameters
    ----------
    names : str
        Setting `device` of `napari_restore.engine.planning.recipe.Recipe`.

    Returns
    -------
    tuple of Device
        The devices that are named. `napari_restore.engine.hardware.devices.choose_devices` checks whether this
        machine has them.

    Raises
    ------
    RecipeError
        If the kind of a device is unknown.

    Examples
    --------
    >>> parse_devices("cuda:0, cpu")
    (Device(kind='cuda', index=0), Device(kind='cpu', index=None))
    >>> [str(device) for device in parse_devices("cuda:all")]
    ['cuda']
    """
    return tuple(_parsed(name.strip()) for name in names.split(","))


def _parsed(name: str) -> Device:
    found = _NAME.fullmatch("cuda" if name == "cuda:all" else name)
    if found is None or (found[1] == "auto" and found[2]):
        raise RecipeError(f"device {name!r} is unknown; use 'auto', 'cpu', 'cuda', 'cuda:1', 'cuda:all' or 'mps'.")
    return Device(found[1], None if found[2] is None else int(found[2]))
