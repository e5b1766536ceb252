"""Restore the region on screen as a preview."""

from __future__ import annotations

__all__ = ["LARGEST", "Preview", "make_preview", "middle", "previewed_region"]

import threading
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore import api
from napari_restore.errors import Cancelled
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
        False for a first look: a piece in the middle, or pixels that differ a little from those of the run.
    """

    plan: Plan
    region: Region
    origin: tuple[int, int]
    pixels: np.ndarray[Any, Any]
    complete: bool = True


_FEW = 4
"""Most tiles that are restored in one go; of more, a central piece is restored first."""
_CENTRE = (160, 288)
"""Height and width of the piece that is restored first, in pixels: they take about half a second of two cores."""
_GAIN = 1.5
"""A first look comes first if what follows computes so many times its pixels."""


def middle(region: Region, axes: str, height: int = LARGEST, width: int = LARGEST) -> Region:
    """Crop a region to a largest height and width, about its centre."""
    largest = {"Y": height, "X": width}

    def cut(whole: slice, length: int) -> slice:
        start = whole.start + max(0, whole.stop - whole.start - length) // 2
        return slice(start, min(whole.stop, start + length))

    parts = zip(axes, region, strict=True)
    return tuple(cut(part, largest[letter]) if letter in largest else part for letter, part in parts)


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

    A view that takes long comes in up to three steps: a piece in the middle, all of the view with tiles of its own (see
    `napari_restore.engine.planning.choices.view.plan_view`), and all of it with the tiles of the run.

    Parameters
    ----------
    job : Job
        The job of the run.
    view : tuple of slice
        The region on screen, in pixels and axis order of the layer.
    plan : Plan or None
        The plan of the job, if it has been made.
    stop : threading.Event
        Stops the preview, on a CPU in the middle of a batch.

    Yields
    ------
    Preview
        The steps. A preview that is stopped yields less.

    Raises
    ------
    RestoreError
        If the run is not possible, or the region of the job is not on screen.
    """
    plan = plan or job.in_memory().plan()
    region = previewed_region(job, view, plan)

    def restored(part: Region, its_plan: Plan, wanted: Region, *, complete: bool = False) -> Preview:
        pixels = api.part(its_plan, wanted, stop=stop)
        place = dict(zip(plan.axes, result_region(plan, part, job.region), strict=True))
        origin = (place["Y"].start, place["X"].start)
        return Preview(plan, part, origin, pixels, complete)

    try:
        for part, its_plan, wanted in _first_looks(job, plan, region):
            yield restored(part, its_plan, wanted)
        yield restored(region, plan, result_region(plan, region, job.region), complete=True)
    except Cancelled:
        return


def _first_looks(job: Job, plan: Plan, region: Region) -> Iterator[tuple[Region, Plan, Region]]:
    """Yield what is restored before the tiles of the run: a part of the layer, its plan, and the part in its result."""
    from napari_restore.engine.planning.choices.view import plan_view, tile_pixels

    if not plan.card.local:
        piece = _piece(plan, region, job)
        if piece is not None:
            yield piece, plan, result_region(plan, piece, job.region)
        return
    centre = middle(region, job.axes, *_CENTRE)
    everything = result_region(plan, region, job.region)
    whole = plan_view(plan, everything)
    small = plan_view(plan, result_region(plan, centre, job.region), backend="eager")
    if whole is None or small is None:
        return
    exact = tile_pixels(plan, everything)
    first = whole.pixels if exact > _GAIN * whole.pixels else exact
    if first > _GAIN * small.pixels:
        yield centre, small.plan, small.region
    if first < exact:
        yield region, whole.plan, whole.region


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
