"""Restoring: run a plan, or plan and run at once, for an array or a stored OME-Zarr."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.boundary import bounded
from napari_restore.api.in_memory import restore_in_memory, restore_lazily
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, Settings
from napari_restore.api.zoo import upscaler
from napari_restore.errors import RecipeError
from napari_restore.images.store import as_location

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress
    from napari_restore.images.lazy_arrays import Region

__all__ = [
    "denoise",
    "iter_restore",
    "part",
    "restore",
    "run",
    "super_resolve",
]


@bounded("the run of")
def run(
    plan: Plan,
    output: str | Path | np.ndarray[Any, Any],
    *,
    overwrite: bool = False,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
) -> Generator[Progress, None, None]:
    """Carry out a plan: `iter_restore` for what `plan` has returned.

    Parameters
    ----------
    plan
        What `plan` has returned.
    output
        Path of an OME-Zarr, beside which a report of the run is kept (`run_report`); or an array in memory, of the
        plan's `shape` and `dtype`, that blocks are copied to.
    overwrite
        See `restore`.
    scheduler, resources
        See `restore`.

    Yields
    ------
    Progress
        See `iter_restore`.

    Raises
    ------
    RestoreError
        See `restore`; raised when the first event is asked for.
    """
    from napari_restore.engine.record.run_report import reported
    from napari_restore.engine.run.local import run_blocks
    from napari_restore.engine.store.sinks import ArraySink, OmeZarrSink
    from napari_restore.models.zoo import check_weights

    check_weights(plan.card)  # before anything is made at the output
    if isinstance(output, np.ndarray):
        if scheduler is not None:
            raise RecipeError("a cluster cannot write to an array in memory; give output= a path or URL.")
        yield from run_blocks(plan, ArraySink(plan, output))
        return
    if scheduler is not None or len(plan.devices) > 1:
        from napari_restore.engine.run.cluster.run import stages_on, stages_on_devices
        from napari_restore.engine.run.cluster.workers import connected

        if scheduler is None:
            with (
                stages_on_devices(plan) as (alone, stages),
                OmeZarrSink(plan, as_location(output), overwrite=overwrite) as sink,
            ):
                yield from reported(alone, sink, stages)
            return
        with (
            connected(scheduler, plan.device, resources) as cluster,
            OmeZarrSink(plan, as_location(output), overwrite=overwrite) as sink,
        ):
            yield from reported(plan, sink, stages_on(cluster))
        return
    with OmeZarrSink(plan, as_location(output), overwrite=overwrite) as sink:
        yield from reported(plan, sink)


@bounded("restoring a part of")
def part(
    plan: Plan, region: Region, *, after_batch: Callable[[int], None] = lambda tiles: None
) -> np.ndarray[Any, Any]:
    """Compute a region of a plan's result: the very pixels that a run of it would store there.

    Parameters
    ----------
    plan
        What `plan` has returned.
    region
        One slice per axis in canonical order, in pixels of the result.
    after_batch
        Called with the number of tiles of each batch that is done; what it raises ends the work.

    Raises
    ------
    ChunkError
        If the source cannot be read there.
    """
    from napari_restore.engine.compute.predictor import predictor_of
    from napari_restore.engine.compute.region import restore_region

    assert plan.recipe.value_range is not None
    return restore_region(plan, region, predictor_of(plan), after_batch)


@bounded("restoring")
def restore(
    source: Any,
    *,
    model: str | Path,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Restore an array of any size with any model.

    Parameters
    ----------
    source
        Path of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array or OME-Zarr; or a NumPy, dask, zarr or
        xarray array; or a list of arrays, the levels of a pyramid.
    model
        Name of a bundled model (`models`), or path of a checkpoint of Restormer or SwinIR.
    output
        Path or URL (``"s3://bucket/image.zarr"``) of an OME-Zarr to write, block by block. One that a run of the same
        settings and the same source began is continued.
    overwrite
        Replace an OME-Zarr at `output`; one that this very run began, and that is not complete, is continued even so.
    progress
        Called with a `Progress` about four times a second, while there is an output or an array in memory is restored.
    scheduler
        A Dask cluster to run on: the address of its scheduler (``"tcp://head:8786"``), a `distributed.Client`, or a
        cluster object. Source, output and a checkpoint given by path have to be where its workers reach them.
    resources
        What a worker has to offer to take part, by Dask's names. By default ``{"GPU": 1}`` for CUDA, else nothing.
    **settings
        See `Settings`.

    Returns
    -------
    Path, str, numpy.ndarray, xarray.DataArray or dask.array.Array
        With `output`, its path or URL. Otherwise what the source is: a NumPy array for a NumPy array, an xarray for an
        xarray (lazy if it was), and a lazy dask array, of which nothing is computed yet, for everything else. Axes are
        in the order of the source, and its data type is kept unless `dtype` says otherwise; Y and X are `scale` times
        as long.

    Raises
    ------
    RestoreError
        If anything is wrong with source, model, settings or output, before any work is done; or if a block cannot be
        read or written, in which case blocks that are stored stay.
    """
    if output is not None:
        where = {"scheduler": scheduler, "resources": resources}
        for event in iter_restore(source, model=model, output=output, overwrite=overwrite, **where, **settings):
            if progress is not None:
                progress(event)
        return as_location(output)
    if scheduler is not None:
        raise RecipeError("a cluster writes to a place that all its workers reach; give output= a path or URL.")
    if isinstance(source, np.ndarray):
        return restore_in_memory(source, model, progress, settings)
    return restore_lazily(source, model, settings)


@bounded("restoring")
def iter_restore(
    source: Any,
    *,
    output: str | Path,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Generator[Progress, None, None]:
    """Restore into an OME-Zarr as `restore` does, as a generator of progress events.

    Closing it stops the run after the tiles in progress; the same call goes on from there.

    Yields
    ------
    Progress
        Blocks and tiles done and in all, rate, expected time.

    Raises
    ------
    RestoreError
        See `restore`; raised when the first event is asked for.
    """
    where = {"scheduler": scheduler, "resources": resources}
    chosen = make_plan(source, model=model, output=output, overwrite=overwrite, **where, **settings)
    yield from run(chosen, output, overwrite=overwrite, **where)


@bounded("denoising")
def denoise(
    source: Any,
    output: str | Path | None = None,
    *,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Denoise an array of any size: `restore` with a denoiser.

    Raises
    ------
    RestoreError
        See `restore`.
    """
    return restore(
        source, model=model, output=output, overwrite=overwrite, progress=progress, scheduler=scheduler,
        resources=resources, **settings,
    )  # fmt: skip


@bounded("super-resolving")
def super_resolve(
    source: Any,
    output: str | Path | None = None,
    *,
    scale: int = 2,
    model: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Make Y and X `scale` times as long: `restore` with a super-resolution model.

    Raises
    ------
    RecipeError
        If no bundled model has this scale, or `model` has another one.
    RestoreError
        See `restore`.
    """
    chosen = upscaler(scale, model)
    return restore(
        source, model=chosen, output=output, overwrite=overwrite, progress=progress, scheduler=scheduler,
        resources=resources, **settings,
    )  # fmt: skip
