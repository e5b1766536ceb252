"""A run that is interrupted and goes on: what the tests of it share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_restore import api

__all__ = ["PLANES", "SETTINGS", "begin", "beside", "stored"]

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 4, "workers": 2}
PLANES = 18


def beside(path: Path) -> list[str]:
    """What is in the folder of a result, its report left out."""
    return [name for name in os.listdir(path.parent) if ".report." not in name]


def stored(path: Path) -> int:
    """How many blocks are stored."""
    return sum(not file.name.endswith(".partial") for file in path.glob("0/c/*/*/*"))


def begin(source: Path, output: Path, model: Path, *, blocks: int, **settings: Any) -> None:
    """Run until some blocks are stored, and close."""
    events = api.iter_restore(source, output=output, model=model, **SETTINGS | settings)
    next(event for event in events if event.done >= blocks)
    events.close()
    assert blocks <= stored(output) < PLANES
