"""Restoring: plan it, run it, get an array or a stored OME-Zarr."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.settings import DENOISER, Settings, location
from napari_restore.api.zoo import upscaler
from napari_restore.errors import RecipeError
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.planning.recipe import Recipe
    from napari_restore.engine.store.progress import Progress
    from napari_restore.images.image import Image

__all__ = [
    "denoise",
    "iter_restore",
    "open_image",
    "part",
    "plan",
    "plan_unestimated",
    "restore",
    "run",
    "super_resolve",
]


def open_image(source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0) -> Image:
    """Open a source lazily: see `napari_restore.images.opening.open_image`."""
    from napari_restore.images import opening

    return opening.open_image(source, axes=axes, level=level, series=series)


def plan(
    source: Any,
    *,
    model: str | Path = DENOISER,
    output: str | Path | None = None,
    overwrite: bool = False,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    download: Callable[[int, int | None], None] | None = None,
    fetch: bool = True,
    **settings: Unpack[Settings],
) -> Plan:
    """Say what a run would do, without doing it. `run` does it.

    Parameters
    ----------
    source
        See `restore`.
    model
        See `restore`.
    output, overwrite
        Where the result would be written: it is checked that this is possible. If a run was begun there, settings left
        out that the pixels depend on are taken from it, unless it is to be replaced.
    scheduler, resources
        See `restore`: with a cluster, the device is one of its workers', and tile and batch are chosen for it.
    download
        Told bytes done and in all while published weights are fetched.
    fetch
        Fetch published weights that are not on this machine. Without them a plan has no fingerprint to be trusted, and
        is for looking at.
    **settings
        See `Settings`.

    Returns
    -------
    Plan
        Print it: axes, intensity, tiles, blocks, size of the result, device, memory. A small sample of the source is
        read for its value range and noise.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    from napari_restore.engine.store.resume import check_output

    path = None if output is None else location(output)
    where = (scheduler, resources)
    chosen = _plan(source, model, None if overwrite else path, settings, download=download, fetch=fetch, cluster=where)
    if path is not None:
        check_output(chosen, path, overwrite=overwrite)
    return chosen


def plan_unestimated(
    source: Any,
    model: str | Path,
    output: Path | str | None,
    settings: dict[str, Any],
    download: Callable[[int, int | None], None] | None = None,
) -> Plan:
    """Plan as `plan` does, but read no pixels: value range and noise stay open unless given, or stored at `output`."""
    return _plan(source, model, output, settings, estimate=False, download=download)


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

    if isinstance(output, np.ndarray):
        if scheduler is not None:
            raise RecipeError("a cluster cannot write to an array in memory; give output= a path or URL.")
        yield from run_blocks(plan, ArraySink(plan, output))
        return
    if scheduler is not None or "," in plan.recipe.device:
        from napari_restore.engine.run.cluster.run import stages_on, stages_on_devices
        from napari_restore.engine.run.cluster.workers import connected

        if scheduler is None:
            with (
                stages_on_devices(plan) as (alone, stages),
                OmeZarrSink(plan, location(output), overwrite=overwrite) as sink,
            ):
                yield from reported(alone, sink, stages)
            return
        with (
            connected(scheduler, plan.recipe.device, resources) as cluster,
            OmeZarrSink(plan, location(output), overwrite=overwrite) as sink,
        ):
            yield from reported(plan, sink, stages_on(cluster))
        return
    with OmeZarrSink(plan, location(output), overwrite=overwrite) as sink:
        yield from reported(plan, sink)


def part(
    plan: Plan, region: tuple[slice, ...], *, after_batch: Callable[[int], None] = lambda tiles: None
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
    from napari_restore.engine.compute.predictor import predictor_for
    from napari_restore.engine.compute.region import restore_region

    assert plan.recipe.value_range is not None
    predict = predictor_for(plan.card, plan.recipe.device, plan.recipe.precision)
    return restore_region(plan, region, predict, after_batch)


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
        return location(output)
    if scheduler is not None:
        raise RecipeError("a cluster writes to a place that all its workers reach; give output= a path or URL.")
    if isinstance(source, np.ndarray):
        return _restore_in_memory(source, model, progress, settings)
    return _restore_lazily(source, model, settings)


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
    chosen = plan(source, model=model, output=output, overwrite=overwrite, **where, **settings)
    yield from run(chosen, output, overwrite=overwrite, **where)


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


def _plan(
    source: Any,
    model: str | Path,
    output: Path | str | None,
    settings: Any,
    *,
    estimate: bool = True,
    download: Callable[[int, int | None], None] | None = None,
    fetch: bool = True,
    cluster: tuple[Any, Mapping[str, float] | None] = (None, None),
) -> Plan:
    """Open the source and plan the run; open settings come from a run that was begun at `output`.

    Published weights that are not here are fetched last, when all else is known to be right: their digest is part of
    what a result is known by.
    """
    from napari_restore.engine.planning.planner import make_plan
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.store.resume import stored_recipe
    from napari_restore.models.zoo import find_card, local_card

    recipe = make_recipe(model=str(model), **settings)
    card = find_card(model, img_range=recipe.img_range, mean=recipe.mean)
    earlier = stored_recipe(output) if output is not None else None
    if earlier is not None:
        recipe = recipe.merged(_for_device(earlier, recipe.device) if cluster[0] is None else earlier)
    image = open_image(source, axes=recipe.axes, level=recipe.level, series=recipe.series)
    if cluster[0] is not None:
        from napari_restore.engine.run.cluster.workers import connected, plan_on

        with connected(cluster[0], recipe.device, cluster[1]) as workers:
            return plan_on(workers, image, local_card(card, download), recipe)
    chosen = make_plan(image, card, recipe, estimate=estimate)
    return replace(chosen, card=local_card(chosen.card, download)) if fetch else chosen


def _for_device(earlier: Recipe, device: str) -> Recipe:
    """Leave the batch of an earlier run open where that ran on another kind of device: it was chosen for its memory."""
    from napari_restore.engine.hardware.devices import choose_device, devices_of

    now, then = (devices_of(name)[0].partition(":")[0] for name in (choose_device(device), earlier.device))
    return earlier if now == then else earlier.model_copy(update={"batch": None})


def _restore_in_memory(
    source: np.ndarray[Any, Any], model: str | Path, progress: Callable[[Progress], None] | None, settings: Any
) -> np.ndarray[Any, Any]:
    from napari_restore.engine.hardware.devices import free_memory
    from napari_restore.engine.run.local import run_blocks
    from napari_restore.engine.store.sinks import ArraySink
    from napari_restore.images.axes import transposition

    chosen = _plan(source, model, None, settings)
    if chosen.output_bytes > free_memory("cpu"):
        raise RecipeError(
            f"the result takes {human_bytes(chosen.output_bytes)}, and {human_bytes(free_memory('cpu'))} of memory are "
            "free; give output= a path, and it is written there block by block."
        )
    sink = ArraySink(chosen)
    for event in run_blocks(chosen, sink):
        if progress is not None:
            progress(event)
    return sink.array.transpose(transposition(chosen.axes, chosen.image.axes))


def _restore_lazily(source: Any, model: str | Path, settings: Any) -> Any:
    from napari_restore.engine.compute.lazy import lazy_result
    from napari_restore.images.axes import transposition

    chosen = _plan(source, model, None, settings, estimate=False)
    result = lazy_result(chosen).transpose(transposition(chosen.axes, chosen.image.axes))
    if type(source).__module__.partition(".")[0] != "xarray":
        return result
    if isinstance(source.data, np.ndarray):
        result = result.compute()
    if result.shape == source.shape:
        return source.copy(data=result)
    coords = _enlarged_coordinates(source, chosen.image.axes, chosen.card.scale)
    return type(source)(result, dims=source.dims, coords=coords, name=source.name, attrs=source.attrs)


def _enlarged_coordinates(source: Any, axes: str, scale: int) -> dict[Any, Any]:
    """Coordinates of an xarray whose Y and X became `scale` times as long.

    Along Y and X they are the centres of the new pixels where those of the old ones are evenly spaced, and left out
    elsewhere; along other axes they stay.
    """
    from napari_restore.images.readers.xarray import spacing

    enlarged = {source.dims[axes.index(letter)] for letter in "YX"}
    coords: dict[Any, Any] = {}
    for name, old in source.coords.items():
        if enlarged.isdisjoint(old.dims):
            coords[name] = old
        elif old.ndim == 1 and (step := spacing(np.asarray(old.values))) is not None:
            # The centre of the first of `scale` new pixels lies half an old pixel minus half a new one further back.
            first = float(old.values[0]) - step * (1 - 1 / scale) / 2
            coords[name] = (old.dims, first + np.arange(old.size * scale) * step / scale, old.attrs)
    return coords
