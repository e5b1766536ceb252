"""Remember the speed of models on this machine: the time of a tile in the latest run or preview."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_restore.engine.compute.lost_devices import is_lost
from napari_restore.engine.hardware.machine_cache import cache_folder, keep_measured, kept_measurement, processor
from napari_restore.engine.planning.plan import Plan
from napari_restore.fingerprint import digest

__all__ = ["Stopwatch", "remember_tile_seconds", "remembered_tile_seconds"]

_LEAST_SECONDS = 1.0
"""Shorter measurements are not kept: they are mostly start and end, with lanes that wait."""
_LEAST_BATCHES = 4
"""Least number of batches for each lane of a measurement that is kept."""
_log = logging.getLogger(__name__)


class Stopwatch:
    """A count of tiles and of the time that they took, for the `after_batch` of `restore_region`.

    Parameters
    ----------
    then : callable
        Called with each count of tiles, after it was added.
    """

    def __init__(self, then: Callable[[int], None] = lambda tiles: None) -> None:
        self.tiles, self.seconds = 0, 0.0
        self._then, self._began, self._lock = then, math.nan, threading.Lock()

    def __call__(self, tiles: int) -> None:
        with self._lock:
            if math.isnan(self._began):
                self._began = time.monotonic()
            self.tiles += tiles
            self.seconds = time.monotonic() - self._began
        self._then(tiles)


def remember_tile_seconds(plan: Plan, tiles: int, seconds: float) -> None:
    """Keep the time of a tile, unless too few were measured. A cache that cannot be written is no error.

    Nothing is kept of a run that lost its device: another one restored part of the tiles, and a lost GPU raises errors
    when it is asked for its name.

    Parameters
    ----------
    plan : Plan
        The run.
    tiles : int
        Number of restored tiles.
    seconds : float
        Time that they took, with reading and writing.
    """
    recipe = plan.recipe
    least = _LEAST_BATCHES * (recipe.batch or 1) * (recipe.lanes or 1)
    if tiles < least or seconds < _LEAST_SECONDS or is_lost(plan.device):
        return
    key = _key(plan)
    path = _path(key)
    try:
        keep_measured(path, key, "seconds", seconds / tiles)
    except OSError as error:
        _log.info("%s cannot be written (%s); the time of the next run is measured again", path, error)


def remembered_tile_seconds(plan: Plan) -> float | None:
    """Return the time of a tile in seconds that was kept for the model, machine and settings of a plan; None if none.

    Parameters
    ----------
    plan : Plan
        The run.
    """
    key = _key(plan)
    seconds = kept_measurement(_path(key), key, "seconds")
    return seconds if seconds is not None and 0 < seconds < math.inf else None


def _key(plan: Plan) -> dict[str, Any]:
    """Return everything that the time of a tile depends on, as JSON types."""
    recipe = plan.recipe
    return {
        "networks": [card.sha256 or card.name for card in plan.card.networks],
        "tile": list(plan.grid.tile_shape),
        "device": recipe.device, "precision": recipe.precision, "backend": recipe.backend,
        "batch": recipe.batch, "lanes": recipe.lanes, "threads": recipe.threads,
        "processor": processor() if plan.device.is_cpu else _gpu(recipe.device),
        **({"ensemble": recipe.ensemble} if recipe.ensemble not in (None, 1) else {}),  # earlier keys stay
    }  # fmt: skip


def _gpu(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") and "," not in device else device


def _path(key: dict[str, Any]) -> Path:
    return cache_folder("tile-times") / f"{digest(key)[:32]}.json"
