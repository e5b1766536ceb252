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
    "model_choices",
    "overlap",
    "preview",
    "restore",
    "result_region",
]

import shutil
import threading
from collections.abc import Generator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from uuid import uuid4

import numpy as np

from napari_restore import api
from napari_restore.errors import OutputError, RestoreError
from napari_restore.widgets.source import Region, layer_image

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.engine.plan import Plan
    from napari_restore.engine.report import Report
    from napari_restore.engine.run import Progress
    from napari_restore.images.image import Image
    from napari_restore.models.card import ModelCard

Task = Literal["denoise", "super-resolve"]

_MEMORY_SHARE = 0.5
"""Part of the free memory that a result in memory may take."""


@dataclass(frozen=True)
class Choices:
    """What a person has chosen; None where the plan chooses.

    Attributes
    ----------
    model
        Name of a bundled model, or path of a checkpoint.
    value_range, dtype, pyramid, device, precision, tile, halo
        See `napari_restore.api.Settings`.
    output
        Path of an OME-Zarr; None for a result in memory.
    overwrite
        Replace an OME-Zarr that is there.
    """

    model: str
    value_range: tuple[float, float] | None = None
    dtype: str = "same"
    pyramid: bool = True
    device: str = "auto"
    precision: str = "float32"
    tile: int | None = None
    halo: int | None = None
    output: str | None = None
    overwrite: bool = False

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for `api.plan`, without those that have their default."""
        defaults = Choices(self.model)
        chosen = asdict(self)
        return {
            name: value
            for name, value in chosen.items()
            if name not in ("model", "output", "overwrite") and value != getattr(defaults, name)
        }


@dataclass(frozen=True)
class Job:
    """Choices for a region of a layer.

    Attributes
    ----------
    layer
        What is restored. Layers belong to the main thread; a worker uses `image`.
    axes
        One letter of TCZYXS per axis of its data.
    region
        Which part of it.
    choices
        How.
    image
        The region as the api takes it.
    """

    layer: ImageLayer
    axes: str
    region: Region
    choices: Choices
    image: Image

    @classmethod
    def of(cls, layer: ImageLayer, axes: str, region: Region, choices: Choices) -> Job:
        """Make a job; for the main thread.

        Raises
        ------
        RestoreError
            If the axes do not fit the layer, or its data cannot be restored.
        """
        return cls(layer, axes, region, choices, layer_image(layer, axes, region))

    def plan(self) -> Plan:
        """Plan the run; reads a sample of the layer and loads torch."""
        chosen = self.choices
        return api.plan(
            self.image, model=chosen.model, output=chosen.output, overwrite=chosen.overwrite, **chosen.settings()
        )


@dataclass(frozen=True)
class Look:
    """What there is to say before a run.

    Attributes
    ----------
    report
        Plan, noise and time.
    free_bytes
        Of memory, or on the disk of the output.
    blocks_there
        Blocks of this very run that the output holds already.
    """

    report: Report
    free_bytes: int
    blocks_there: int

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.report.plan


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


def model_choices(task: Task) -> tuple[ModelCard, ...]:
    """Bundled models for a task."""
    return tuple(card for card in api.models() if card.task in (task, "other"))


def look(job: Job) -> Look:
    """Plan a job, estimate its noise and time, and see what its output has room for.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    plan = job.plan()
    output = job.choices.output
    if output is None:
        return Look(api.report(plan), _check_memory(plan), 0)
    path = Path(output).absolute()
    parent = next(folder for folder in path.parents if folder.exists())
    return Look(api.report(plan), shutil.disk_usage(parent).free, 0 if job.choices.overwrite else _blocks_there(path))


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
        _check_memory(plan)
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


def _check_memory(plan: Plan) -> int:
    """Free memory in bytes.

    Raises
    ------
    OutputError
        If the result would take too much of it.
    """
    import psutil

    from napari_restore.engine.describe import human_bytes

    free = int(psutil.virtual_memory().available)
    if plan.output_bytes > _MEMORY_SHARE * free:
        raise OutputError(
            f"the result takes {human_bytes(plan.output_bytes)}, and of {human_bytes(free)} free memory half may be "
            "used; choose an OME-Zarr as output, which is written block by block."
        )
    return free


def _blocks_there(path: Path) -> int:
    from napari_restore.images import ome_zarr

    if not path.exists() or ome_zarr.read_attributes(path) is None:
        return 0
    return int(np.count_nonzero(ome_zarr.stored_units(path, 0)))
