"""Restore images: run a plan, or plan and run in one call, into an array or an OME-Zarr."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.arrays.in_memory import refuse_uncertainty, restore_in_memory, restore_lazily
from napari_restore.api.boundary import bounded
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, Settings, describes_settings
from napari_restore.api.zoo import upscaler
from napari_restore.errors import RecipeError
from napari_restore.images.readers.array_kinds.tensors import is_tensor
from napari_restore.images.store import as_location
from napari_restore.progress_bars import downloading, follow_run, following

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.store.progress import Progress
    from napari_restore.images.lazy_arrays import Region

_log = logging.getLogger(__name__)

__all__ = ["denoise", "iter_restore", "restore", "run", "super_resolve"]


@bounded("the run of")
def run(
    plan: Plan,
    output: str | Path | np.ndarray[Any, Any],
    *,
    overwrite: bool = False,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    first: Region | None = None,
) -> Generator[Progress, None, None]:
    """Carry out a plan: `iter_restore` for a plan that `plan` has returned.

    Parameters
    ----------
    plan : Plan
        Plan of the run.
    output : str, Path or numpy.ndarray
        Path or URL of an OME-Zarr; a report of the run is kept beside it (`run_report`). Or an array in memory, of the
        plan's `shape` and `dtype`, that blocks are written to.
    overwrite : bool
        Replace an OME-Zarr at `output`. If this very run started it and did not complete it, it is resumed all the
        same.
    scheduler : str, distributed.Client, distributed.Cluster or None
        Dask cluster to run on; a str is the address of its scheduler (``"tcp://head:8786"``). Workers have to reach the
        source, the output and a checkpoint given by path under the same names. If None, run on this machine.
    resources : mapping of str to float, or None
        Dask resources that a worker must offer to take part. If None, ``{"GPU": 1}`` for CUDA, else no resources.
    first : tuple of slice, optional
        Region of the result that is restored before the rest, such as the plane that is looked at: one slice per axis
        in canonical order, in pixels of the result. Runs on a cluster or on several devices ignore it.

    Yields
    ------
    Progress
        Blocks and tiles that are done and in total, rate, expected time.

    Raises
    ------
    RestoreError
        If the plan does not fit the output, before any work is done; or if a block cannot be read or written. Stored
        blocks are kept. Errors are raised when the first event is requested, or later.
    """
    from napari_restore.engine.record.run_report import reported
    from napari_restore.engine.run.calibrating import with_calibration
    from napari_restore.engine.run.local import run_blocks, run_here
    from napari_restore.engine.store.sinks import ArraySink, OmeZarrSink
    from napari_restore.models.zoo import check_weights

    check_weights(plan.card)  # before anything is made at the output
    if isinstance(output, np.ndarray):
        refuse_uncertainty(plan.recipe.uncertainty)
        if scheduler is not None:
            raise RecipeError("a cluster cannot write to an array in memory; give output= a path or URL.")
        yield from run_blocks(plan, ArraySink(plan, output), first=first)
        return
    plan = with_calibration(plan, as_location(output), overwrite=overwrite)
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
        yield from reported(plan, sink, partial(run_here, first=first))


@bounded("restoring")
@describes_settings
def restore(
    source: Any,
    *,
    model: str | Path,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | Callable[[Progress], None] | None = True,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Restore an array of any size with any model.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR.
    output : str, Path or None
        Path or URL (``"s3://bucket/image.zarr"``) of the OME-Zarr to write, block by block. A run of the same settings
        and the same source that was interrupted there is resumed. If None, the result is returned.
    overwrite : bool
        Replace an OME-Zarr at `output`. If this very run started it and did not complete it, it is resumed all the
        same.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, once the call has taken a second;
        elsewhere nothing is shown. A function is called with a `Progress` about four times a second. False or None for
        neither. Lazy results have no progress of their own.
    scheduler : str, distributed.Client, distributed.Cluster or None
        Dask cluster to run on; a str is the address of its scheduler (``"tcp://head:8786"``). Workers have to reach the
        source, the output and a checkpoint given by path under the same names. If None, run on this machine.
    resources : mapping of str to float, or None
        Dask resources that a worker must offer to take part. If None, ``{"GPU": 1}`` for CUDA, else no resources.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Path, str, numpy.ndarray, xarray.DataArray or dask.array.Array
        With `output`: its path or URL. Without: a NumPy array for a NumPy array, an xarray for an xarray (lazy if that
        is lazy), and a lazy dask array, of which nothing is computed yet, for every other source. Axes have the order
        of the source, and the data type is that of the source unless `dtype` is given. Y and X are multiplied by the
        scale of the model.

    Raises
    ------
    RestoreError
        If source, model, settings or output are wrong, before any work is done; or if a block cannot be read or
        written. Stored blocks are kept.
    """
    if output is not None:
        where = {"scheduler": scheduler, "resources": resources}
        with following(progress is True, downloading(str(model))) as download:
            chosen = make_plan(
                source, model=model, output=output, overwrite=overwrite, download=download, **where, **settings
            )
        follow_run(run(chosen, output, overwrite=overwrite, **where), progress)
        return as_location(output)
    if scheduler is not None:
        raise RecipeError("a cluster writes to a place that all its workers reach; give output= a path or URL.")
    if isinstance(source, np.ndarray) or is_tensor(source):
        return restore_in_memory(source, model, progress, settings)
    return restore_lazily(source, model, settings)


@bounded("restoring")
@describes_settings
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

    Closing the generator stops the run; the same call resumes it.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    output : str or Path
        Path or URL (``"s3://bucket/image.zarr"``) of the OME-Zarr to write, block by block. A run of the same settings
        and the same source that was interrupted there is resumed.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. Default:
        `DENOISER`.
    overwrite : bool
        Replace an OME-Zarr at `output`. If this very run started it and did not complete it, it is resumed all the
        same.
    scheduler : str, distributed.Client, distributed.Cluster or None
        Dask cluster to run on; a str is the address of its scheduler (``"tcp://head:8786"``). Workers have to reach the
        source, the output and a checkpoint given by path under the same names. If None, run on this machine.
    resources : mapping of str to float, or None
        Dask resources that a worker must offer to take part. If None, ``{"GPU": 1}`` for CUDA, else no resources.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Yields
    ------
    Progress
        Blocks and tiles that are done and in total, rate, expected time.

    Raises
    ------
    RestoreError
        If source, model, settings or output are wrong, before any work is done; or if a block cannot be read or
        written. Stored blocks are kept. Errors are raised when the first event is requested, or later.
    """
    where = {"scheduler": scheduler, "resources": resources}
    chosen = make_plan(source, model=model, output=output, overwrite=overwrite, **where, **settings)
    yield from run(chosen, output, overwrite=overwrite, **where)


@bounded("denoising")
@describes_settings
def denoise(
    source: Any,
    output: str | Path | None = None,
    *,
    model: str | Path = DENOISER,
    adapt: bool | str | Path = False,
    overwrite: bool = False,
    progress: bool | Callable[[Progress], None] | None = True,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Denoise an array of any size.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    output : str, Path or None
        Path or URL (``"s3://bucket/image.zarr"``) of the OME-Zarr to write, block by block. A run of the same settings
        and the same source that was interrupted there is resumed. If None, the result is returned.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. Default:
        `DENOISER`.
    adapt : bool, str or Path
        Adapt the model to the source first (see `adapt`), which takes 5 minutes on a CPU and 1 on a GPU. The weights
        are kept beside the output (``cells.adapted.safetensors`` for ``cells.zarr``), or in the ``.safetensors`` file
        that is named here. If adapting does not help, the model is used as it is, and log and report say why.
    overwrite : bool
        Replace an OME-Zarr at `output`. If this very run started it and did not complete it, it is resumed all the
        same.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, once the call has taken a second;
        elsewhere nothing is shown. A function is called with a `Progress` about four times a second. False or None for
        neither. Lazy results have no progress of their own.
    scheduler : str, distributed.Client, distributed.Cluster or None
        Dask cluster to run on; a str is the address of its scheduler (``"tcp://head:8786"``). Workers have to reach the
        source, the output and a checkpoint given by path under the same names. If None, run on this machine.
    resources : mapping of str to float, or None
        Dask resources that a worker must offer to take part. If None, ``{"GPU": 1}`` for CUDA, else no resources.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Path, str, numpy.ndarray, xarray.DataArray or dask.array.Array
        With `output`: its path or URL. Without: a NumPy array for a NumPy array, an xarray for an xarray (lazy if that
        is lazy), and a lazy dask array, of which nothing is computed yet, for every other source. Axes have the order
        of the source, and the data type is that of the source unless `dtype` is given. Its shape is that of the source.

    Raises
    ------
    RestoreError
        If source, model, settings or output are wrong, before any work is done; or if a block cannot be read or
        written. Stored blocks are kept.
    """
    where: dict[str, Any] = {"scheduler": scheduler, "resources": resources}
    if not adapt:
        return restore(source, model=model, output=output, overwrite=overwrite, progress=progress, **where, **settings)
    from napari_restore.api.adapting import adapt_for

    file, shown = None if adapt is True else adapt, progress is True
    found = adapt_for(source, output, weights=file, model=model, overwrite=overwrite, progress=shown, **settings)
    if output is None:
        (_log.info if found.outcome == "adapted" else _log.warning)("%s", found)
        return restore(source, model=found.model, progress=progress, **where, **settings)
    chosen = make_plan(source, model=found.model, output=output, overwrite=overwrite, **where, **settings)
    why, warnings = {**chosen.why, "model": str(found)}, (*chosen.warnings, str(found))  # for the log and the report
    chosen = replace(chosen, why=why) if found.outcome == "adapted" else replace(chosen, warnings=warnings)
    follow_run(run(chosen, output, overwrite=overwrite, **where), progress)
    return as_location(output)


@bounded("super-resolving")
@describes_settings
def super_resolve(
    source: Any,
    output: str | Path | None = None,
    *,
    scale: int = 2,
    model: str | Path | None = None,
    overwrite: bool = False,
    progress: bool | Callable[[Progress], None] | None = True,
    scheduler: Any = None,
    resources: Mapping[str, float] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Super-resolve an array of any size: Y and X become `scale` times as long.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    output : str, Path or None
        Path or URL (``"s3://bucket/image.zarr"``) of the OME-Zarr to write, block by block. A run of the same settings
        and the same source that was interrupted there is resumed. If None, the result is returned.
    scale : int
        Factor of the number of pixels along Y and X; bundled models have 2 and 4.
    model : str, Path or None
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. If None, the
        bundled model of the scale (`UPSCALERS`).
    overwrite : bool
        Replace an OME-Zarr at `output`. If this very run started it and did not complete it, it is resumed all the
        same.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, once the call has taken a second;
        elsewhere nothing is shown. A function is called with a `Progress` about four times a second. False or None for
        neither. Lazy results have no progress of their own.
    scheduler : str, distributed.Client, distributed.Cluster or None
        Dask cluster to run on; a str is the address of its scheduler (``"tcp://head:8786"``). Workers have to reach the
        source, the output and a checkpoint given by path under the same names. If None, run on this machine.
    resources : mapping of str to float, or None
        Dask resources that a worker must offer to take part. If None, ``{"GPU": 1}`` for CUDA, else no resources.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Path, str, numpy.ndarray, xarray.DataArray or dask.array.Array
        With `output`: its path or URL. Without: a NumPy array for a NumPy array, an xarray for an xarray (lazy if that
        is lazy), and a lazy dask array, of which nothing is computed yet, for every other source. Axes have the order
        of the source, and the data type is that of the source unless `dtype` is given. Y and X are multiplied by
        `scale`.

    Raises
    ------
    RecipeError
        If no bundled model has this scale, or `model` has another one.
    RestoreError
        If source, model, settings or output are wrong, before any work is done; or if a block cannot be read or
        written. Stored blocks are kept.
    """
    chosen = upscaler(scale, model)
    return restore(
        source, model=chosen, output=output, overwrite=overwrite, progress=progress, scheduler=scheduler,
        resources=resources, **settings,
    )  # fmt: skip
