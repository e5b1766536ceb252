"""Compute parts of a plan's result, and of what is done before the network."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.boundary import bounded

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan
    from napari_restore.images.lazy_arrays import Region

__all__ = ["neighbour_weights", "part"]


@bounded("restoring a part of")
def part(
    plan: Plan,
    region: Region,
    *,
    after_batch: Callable[[int], None] = lambda tiles: None,
    stop: threading.Event | None = None,
) -> np.ndarray[Any, Any]:
    """Compute a region of the result of a plan: the same pixels that a run of the plan stores there.

    Parameters
    ----------
    plan : Plan
        Plan of the run.
    region : tuple of slice
        One slice per axis in canonical order (TCZYXS), in pixels of the result.
    after_batch : callable
        Called with the number of tiles of each batch that is done. An exception that it raises ends the work.
    stop : threading.Event, optional
        Ends the work once it is set: on a CPU in the middle of a batch.

    Returns
    -------
    numpy.ndarray
        Pixels of the region, in canonical order and in the data type of the result.

    Raises
    ------
    Cancelled
        If `stop` is set.
    ChunkError
        If the source cannot be read there.
    """
    from napari_restore.engine.compute.predictor import predictor_of
    from napari_restore.engine.compute.region import restore_region
    from napari_restore.engine.compute.speed import Stopwatch, remember_tile_seconds

    assert plan.recipe.value_range is not None
    watch = Stopwatch(after_batch)
    pixels = restore_region(plan, region, predictor_of(plan), watch, stop=stop)
    remember_tile_seconds(plan, watch.tiles, watch.seconds)
    return pixels


@bounded("averaging neighbouring planes in a part of")
def neighbour_weights(plan: Plan, region: Region) -> np.ndarray[Any, Any]:
    """Compute the mean weight of the neighbouring planes at each pixel of a region: a map of where planes agree.

    Parameters
    ----------
    plan : Plan
        Plan of the run.
    region : tuple of slice
        One slice per axis in canonical order (TCZYXS), in pixels of the source.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1], in canonical order, without axis S. Planes that are left out count with weight 0; it is 0
        everywhere if the plan averages no planes.

    Raises
    ------
    ChunkError
        If the source cannot be read there.
    """
    from napari_restore.engine.compute import neighbours

    return neighbours.neighbour_weights(plan, region)
