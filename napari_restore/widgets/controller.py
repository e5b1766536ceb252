"""What the dock widgets do, without a window: gathered choices become calls of `napari_restore.api`.

Functions that take a `Job` read pixels or load a network; the dock widgets call them from a worker thread.
"""

from __future__ import annotations

__all__ = [
    "Choices",
    "Grown",
    "Job",
    "Landed",
    "Look",
    "Started",
    "look",
    "overlap",
    "preview",
    "restore",
    "result_region",
]

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from napari_restore import api
from napari_restore.errors import RestoreError
from napari_restore.widgets.choices import Choices, Job
from napari_restore.widgets.look import Look, free_memory_for, look
from napari_restore.widgets.source import Region

if TYPE_CHECKING:
    from napari_restore.engine.plan import Plan
    from napari_restore.engine.run import Progress


@dataclass(frozen=True)
class Started:
    """The first event of a run: the result is there, empty, and can be shown.

    Attributes
    ----------
    plan
        What is run.
    levels
        Arrays of the result, the largest first, in canonical order.
    """

    plan: Plan
    levels: tuple[Any, ...]


@dataclass(frozen=True)
class Landed:
    """Blocks have landed on disk since the last such event: what was read before is out of date."""

    plan: Plan
    levels: tuple[Any, ...]


@dataclass(frozen=True)
class Grown:
    """The last event of a run to disk: all levels are there."""

    plan: Plan
    levels: tuple[Any, ...]


def preview(job: Job, region: tuple[slice, ...], plan: Plan, stop: threading.Event) -> np.ndarray[Any, Any] | None:
    """Compute a region of a plan's result, in canonical order; None when `stop` was set in between."""

    class Stopped(Exception):
        pass

    def check(tiles: int) -> None:
        if stop.is_set():
            raise Stopped

    try:
        return api.part(plan, region, after_batch=check)
    except Stopped:
        return None


def result_region(plan: Plan, region: Region, origin: Region) -> tuple[slice, ...]:
    """Where a region of the layer lies in the result, in canonical order.

    Parameters
    ----------
    plan
        Plan of the layer's part `origin`.
    region, origin
        In the layer's pixels and order.
    """
    slices = {}
    for letter, inner, outer in zip(plan.image.axes, region, origin, strict=True):
        factor = plan.card.scale if letter in "YX" else 1
        start, stop = max(inner.start, outer.start), min(inner.stop, outer.stop)
        if stop <= start:
            raise RestoreError("the region to be restored is not on screen; move there, or choose another region.")
        slices[letter] = slice((start - outer.start) * factor, (stop - outer.start) * factor)
    return tuple(slices[letter] for letter in plan.axes)


def overlap(region: Region, origin: Region) -> Region:
    """The part of a region that lies within another one."""
    return tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(region, origin, strict=True))


def restore(job: Job) -> Generator[Started | Progress | Landed | Grown, None, None]:
    """Carry out a job. Closing the generator stops it after the batch in progress.

    Raises
    ------
    RestoreError
        See `api.restore`.
    """
    plan = job.plan()
    output = job.choices.output
    if output is None:
        free_memory_for(plan)
        array = np.zeros(plan.shape, plan.dtype)
        events = api.run(plan, array)
        try:
            yield Started(plan, (array,))
            yield from events
        finally:
            events.close()
        return
    events = api.run(plan, output, overwrite=job.choices.overwrite)
    try:
        first = next(events)  # the output is created when the first event is asked for
        yield Started(plan, stored_levels(output, plan, 1))
        yield first
        done = first.done
        for event in events:
            yield event
            if event.stage == "restoring" and event.done > done:
                done = event.done
                yield Landed(plan, stored_levels(output, plan, 1))
    finally:
        events.close()
    yield Grown(plan, stored_levels(output, plan, plan.levels))


def stored_levels(output: str, plan: Plan, count: int) -> tuple[Any, ...]:
    """Lazy arrays of the first levels of an output, in canonical order."""
    import dask.array as da

    from napari_restore.images.ome_zarr import open_level, stored_axes

    stored = stored_axes(plan.axes).replace("C", "S") if "S" in plan.axes else stored_axes(plan.axes)
    order = [stored.index(letter) for letter in plan.axes]
    # A new name each time: napari keeps chunks that dask has computed, by name, and these fill in.
    return tuple(
        da.from_zarr(open_level(output, level), name=f"stored-{uuid4().hex}").transpose(order) for level in range(count)
    )
