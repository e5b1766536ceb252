"""What the model makes of what is on screen, before any run."""

from __future__ import annotations

__all__ = ["LARGEST", "Preview", "make_preview", "middle"]

import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore import api
from napari_restore.widgets.jobs.job import Job
from napari_restore.widgets.jobs.layers import Region
from napari_restore.widgets.jobs.regions import overlap, result_region

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan

LARGEST = 1024
"""Most pixels of the layer along Y and X that a preview takes: a few seconds, whatever is on screen."""


@dataclass(frozen=True)
class Preview:
    """A preview that is done.

    Attributes
    ----------
    plan
        Of the run that it is a part of.
    region
        Which part, in the layer's pixels and order.
    origin
        First row and column of it in the plan's result.
    pixels
        In canonical order.
    complete
        Whether this is all of it, and not the piece in the middle that comes first.
    """

    plan: Plan
    region: Region
    origin: tuple[int, int]
    pixels: np.ndarray[Any, Any]
    complete: bool = True


_FEW = 4
"""Tiles that are shown at once; of more, a piece in the middle comes first."""


class _Stopped(Exception):
    pass


def middle(region: Region, axes: str, largest: int = LARGEST) -> Region:
    """The middle of a region, cut to a largest length along Y and X."""

    def cut(whole: slice) -> slice:
        start = whole.start + max(0, whole.stop - whole.start - largest) // 2
        return slice(start, min(whole.stop, start + largest))

    return tuple(cut(part) if letter in "YX" else part for letter, part in zip(axes, region, strict=True))


def make_preview(job: Job, view: Region, plan: Plan | None, stop: threading.Event) -> Generator[Preview, None, None]:
    """Restore the middle of what is on screen, with the pixels that a run of the job would store there.

    Parameters
    ----------
    job
        What a run would do.
    view
        What is on screen, in the layer's pixels and order.
    plan
        The job's plan, if there is one already.
    stop
        Ends it after the batch of tiles in progress.

    Yields
    ------
    Preview
        First a piece in the middle that takes two tiles, where all of it takes many more; then all of it. Less if it
        was stopped.

    Raises
    ------
    RestoreError
        If the run is not possible, or what is to be restored is not on screen.
    """
    plan = _quick_plan(job, plan or job.in_memory().plan())
    result_region(plan, view, job.region)  # says so if nothing of it is on screen
    region = middle(overlap(view, job.region), job.axes)

    def check(tiles: int) -> None:
        if stop.is_set():
            raise _Stopped

    piece = _piece(plan, region, job)
    try:
        for part in (region,) if piece is None else (piece, region):
            wanted = result_region(plan, part, job.region)
            pixels = api.part(plan, wanted, after_batch=check)
            origin = (wanted[plan.axes.index("Y")].start, wanted[plan.axes.index("X")].start)
            yield Preview(plan, part, origin, pixels, complete=part is region)
    except _Stopped:
        return


def _quick_plan(job: Job, plan: Plan) -> Plan:
    """The plan with the model's own tile: larger ones are for large planes, and change no more than a last bit."""
    if not plan.card.exact_tiles or job.choices.recipe.tile is not None or max(plan.grid.tile_shape) <= plan.card.tile:
        return plan
    return replace(job, choices=job.choices.replaced(tile=plan.card.tile)).in_memory().plan()


def _piece(plan: Plan, region: Region, job: Job) -> Region | None:
    """The middle of a region, as far as one tile along Y and two along X make it alone; None if that is most of it."""
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
