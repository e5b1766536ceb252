"""Restore the region on screen as a preview."""

from __future__ import annotations

__all__ = ["LARGEST", "Preview", "make_preview", "middle", "previewed_region"]

import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore import api
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.layers.image_layers import Region
from napari_restore.widgets.jobs.regions import overlap, result_region

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan

LARGEST = 1024
"""Largest length of a preview along Y and X, in pixels of the layer; it limits the time to a few seconds."""


@dataclass(frozen=True)
class Preview:
    """Restored pixels of a preview.

    Attributes
    ----------
    plan : Plan
        Plan of the run whose pixels these are.
    region : tuple of slice
        The region that was restored, in pixels and axis order of the layer.
    origin : tuple of int
        First row and column of the region in the plan's result.
    pixels : ndarray
        Result of the region, in canonical order.
    complete : bool
        False for the central piece that is restored first.
    """

    plan: Plan
    region: Region
    origin: tuple[int, int]
    pixels: np.ndarray[Any, Any]
    complete: bool = True


_FEW = 4
"""Most tiles that are restored in one go; of more, a central piece is restored first."""


class _Stopped(Exception):
    pass


def middle(region: Region, axes: str, largest: int = LARGEST) -> Region:
    """Crop a region to a largest length along Y and X, about its centre."""

    def cut(whole: slice) -> slice:
        start = whole.start + max(0, whole.stop - whole.start - largest) // 2
        return slice(start, min(whole.stop, start + largest))

    return tuple(cut(part) if letter in "YX" else part for letter, part in zip(axes, region, strict=True))


def previewed_region(job: Job, view: Region, plan: Plan) -> Region:
    """Return the centre of what is on screen of the region of a job.

    Parameters
    ----------
    job : Job
        The job of the run.
    view : tuple of slice
        The region on screen, in pixels and axis order of the layer.
    plan : Plan
        The plan of the job.

    Raises
    ------
    RestoreError
        If the region of the job is not on screen.
    """
    result_region(plan, view, job.region)  # raises if nothing of it is on screen
    return middle(overlap(view, job.region), job.axes)


def make_preview(job: Job, view: Region, plan: Plan | None, stop: threading.Event) -> Generator[Preview, None, None]:
    """Restore the centre of the region on screen, with the same pixels that a run of the job would store.

    The piece that comes first has smaller tiles than the run if those would take long. Then it differs a little from
    the run: with SwinIR by less than a step of 16 bits, with attention windows of a Restormer by about a hundredth of
    the noise that is removed (docs/restormer-tiles.md).

    Parameters
    ----------
    job : Job
        The job of the run.
    view : tuple of slice
        The region on screen, in pixels and axis order of the layer.
    plan : Plan or None
        The plan of the job, if it has been made.
    stop : threading.Event
        Stops after the batch in progress.

    Yields
    ------
    Preview
        If the region has many tiles, first a central piece of two tiles; then the whole region. A preview that is
        stopped yields less.

    Raises
    ------
    RestoreError
        If the run is not possible, or the region of the job is not on screen.
    """
    plan = plan or job.in_memory().plan()
    quick = _quick_plan(job, plan)
    region = previewed_region(job, view, plan)

    def check(tiles: int) -> None:
        if stop.is_set():
            raise _Stopped

    piece = _piece(quick, region, job)
    try:
        for part, its_plan in ((region, plan),) if piece is None else ((piece, quick), (region, plan)):
            wanted = result_region(its_plan, part, job.region)
            pixels = api.part(its_plan, wanted, after_batch=check)
            origin = (wanted[plan.axes.index("Y")].start, wanted[plan.axes.index("X")].start)
            yield Preview(its_plan, part, origin, pixels, complete=part is region)
    except _Stopped:
        return


def _quick_plan(job: Job, plan: Plan) -> Plan:
    """Return the plan with the model's own tile; tiles of a run may be larger, to save halo."""
    if not plan.card.local or job.choices.recipe.tile is not None or max(plan.grid.tile_shape) <= plan.card.tile:
        return plan
    return replace(job, choices=job.choices.replaced(tile=plan.card.tile)).in_memory().plan()


def _piece(plan: Plan, region: Region, job: Job) -> Region | None:
    """Return the central piece of a region that one tile along Y and two along X cover; None if that is most of it."""
    found = dict(zip(job.axes, region, strict=True))
    origins = dict(zip(job.axes, job.region, strict=True))
    tiles = 1
    for letter, tiling, wanted in (("Y", plan.grid.y, 1), ("X", plan.grid.x, 2)):
        whole, origin = found[letter], origins[letter].start
        touched = tiling.touching(whole.start - origin, whole.stop - origin)
        tiles *= len(touched)
        first = touched[max(0, (len(touched) - wanted) // 2)]
        last = min(first + wanted, touched[-1] + 1) - 1
        low = tiling.seam(first) + tiling.blend if first > 0 else 0
        high = tiling.seam(last + 1) if last + 1 < tiling.count else tiling.length
        found[letter] = slice(max(low + origin, whole.start), min(high + origin, whole.stop))
        if found[letter].start >= found[letter].stop:
            return None
    return tuple(found[letter] for letter in job.axes) if tiles > _FEW else None
