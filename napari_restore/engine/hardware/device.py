"""The devices of a recipe: read once, and asked what they are instead of being compared as text."""

from __future__ import annotations

import re
from dataclasses import dataclass

from napari_restore.errors import RecipeError

__all__ = ["CPU", "Device", "parse_devices"]

_NAME = re.compile(r"(auto|cpu|cuda|mps)(?::(0|[1-9][0-9]*))?")


@dataclass(frozen=True)
class Device:
    """A device that a network runs on; `str` of it is its name, such as ``"cuda:1"``.

    Attributes
    ----------
    kind : str
        ``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` for the best one of the machine, which is not chosen yet.
    index : int or None
        Number among those of its kind, from 0. None where there is only one of that kind, and for all GPUs.
    """

    kind: str
    index: int | None = None

    @property
    def is_auto(self) -> bool:
        """Whether it is still to be chosen."""
        return self.kind == "auto"

    @property
    def is_cpu(self) -> bool:
        """Whether the network runs in the host's memory."""
        return self.kind == "cpu"

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU of CUDA (or ROCm, which torch calls the same)."""
        return self.kind == "cuda"

    def __str__(self) -> str:
        return self.kind if self.index is None else f"{self.kind}:{self.index}"


CPU = Device("cpu")


def parse_devices(names: str) -> tuple[Device, ...]:
    """Read the device of a recipe, or several with commas between them.

    Parameters
    ----------
    names : str
        See `napari_restore.engine.planning.recipe.Recipe`.

    Returns
    -------
    tuple of Device
        As they are named. Whether they are on this machine is for
        `napari_restore.engine.hardware.devices.choose_devices` to say.

    Raises
    ------
    RecipeError
        If one is of no known kind.

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
