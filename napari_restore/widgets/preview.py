"""What the model makes of what is on screen, before any run. Needs no window."""

from __future__ import annotations

__all__ = ["LARGEST", "Preview", "make_preview", "middle"]

import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore import api
from napari_restore.widgets.choices import Job
from napari_restore.widgets.controller import overlap, result_region
from napari_restore.widgets.source import Region

if TYPE_CHECKING:
    from napari_restore.engine.plan import Plan

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
    """

    plan: Plan
    region: Region
    origin: tuple[int, int]
    pixels: np.ndarray[Any, Any]


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
        One, or none if it was stopped.

    Raises
    ------
    RestoreError
        If the run is not possible, or what is to be restored is not on screen.
    """
    if plan is None:
        plan = job.in_memory().plan()
    result_region(plan, view, job.region)  # says so if nothing of it is on screen
    region = middle(overlap(view, job.region), job.axes)
    wanted = result_region(plan, region, job.region)

    def check(tiles: int) -> None:
        if stop.is_set():
            raise _Stopped

    try:
        pixels = api.part(plan, wanted, after_batch=check)
    except _Stopped:
        return
    yield Preview(plan, region, tuple(wanted[plan.axes.index(a)].start for a in "YX"), pixels)
