"""Results that are not stored: NumPy arrays in memory, and lazy dask arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.arrays.given_back import in_kind_of
from napari_restore.api.planning import plan_source
from napari_restore.errors import RecipeError
from napari_restore.progress_bars import downloading, follow_run, following
from napari_restore.ways_out import WayOut
from napari_restore.wording import human_bytes

if TYPE_CHECKING:
    from napari_restore.engine.store.progress import Progress

__all__ = ["refuse_uncertainty", "restore_in_memory", "restore_lazily"]


def refuse_uncertainty(asked: bool) -> None:
    """Refuse an uncertainty that has no place to be stored.

    Parameters
    ----------
    asked : bool
        The setting `uncertainty`.

    Raises
    ------
    RecipeError
        If it was asked for.
    """
    if asked:
        raise RecipeError(
            "the uncertainty is stored beside a result in an OME-Zarr, and this result is not stored",
            WayOut("name an output.", "name an output.", "choose OME-Zarr in Place."),
        )


def restore_in_memory(
    source: np.ndarray[Any, Any], model: str | Path, progress: bool | Callable[[Progress], None] | None, settings: Any
) -> Any:
    """Restore an array in memory into a new one, whose axes have the order of the source.

    Parameters
    ----------
    source : numpy.ndarray
        Array to restore.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR.
    progress : bool, callable or None
        True for a bar, or a function that is called with a `Progress` about four times a second.
    settings : dict of str to object
        Settings by name, as in `Settings`.

    Returns
    -------
    numpy.ndarray
        The result.

    Raises
    ------
    RecipeError
        If the result needs more memory than is free.
    """
    from napari_restore.engine.hardware.host_memory import available_memory
    from napari_restore.engine.run.local import run_blocks
    from napari_restore.engine.store.sinks import ArraySink
    from napari_restore.images.axes import transposition

    refuse_uncertainty(bool(settings.get("uncertainty")))
    with following(progress is True, downloading(str(model))) as download:
        chosen = plan_source(source, model, None, settings, download=download)
    if chosen.output_bytes > (free := available_memory()):
        raise RecipeError(
            f"the result takes {human_bytes(chosen.output_bytes)} and only {human_bytes(free)} of memory are free; "
            "give output= a path, and it is written there block by block."
        )
    sink = ArraySink(chosen)
    follow_run(run_blocks(chosen, sink), progress)
    result = sink.array.transpose(transposition(chosen.axes, chosen.image.axes))
    return in_kind_of(source, result, chosen.image, chosen.card.scale, settings.get("dtype"))


def restore_lazily(source: Any, model: str | Path, settings: Any) -> Any:
    """Return the result as a lazy dask array, of which nothing is computed yet; as an xarray for an xarray.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR.
    settings : dict of str to object
        Settings by name, as in `Settings`.

    Returns
    -------
    dask.array.Array or xarray.DataArray
        The result, with axes in the order of the source. An xarray in memory gives an xarray in memory.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    from napari_restore.engine.compute.lazy import lazy_result
    from napari_restore.images.axes import transposition

    refuse_uncertainty(bool(settings.get("uncertainty")))
    chosen = plan_source(source, model, None, settings, estimate=False)
    result = lazy_result(chosen).transpose(transposition(chosen.axes, chosen.image.axes))
    if type(source).__module__.partition(".")[0] != "xarray":
        return in_kind_of(source, result, chosen.image, chosen.card.scale, settings.get("dtype"))
    if isinstance(source.data, np.ndarray):
        result = result.compute()
    if result.shape == source.shape:
        return source.copy(data=result)
    coords = _enlarged_coordinates(source, chosen.image.axes, chosen.card.scale)
    return type(source)(result, dims=source.dims, coords=coords, name=source.name, attrs=source.attrs)


def _enlarged_coordinates(source: Any, axes: str, scale: int) -> dict[Any, Any]:
    """Return the coordinates of an xarray whose Y and X became `scale` times as long.

    Along Y and X they are the centres of the new pixels if the old ones are evenly spaced, and are left out otherwise.
    Along other axes they stay.
    """
    from napari_restore.images.geometry import Sampling

    enlarged = {source.dims[axes.index(letter)] for letter in "YX"}
    coords: dict[Any, Any] = {}
    for name, old in source.coords.items():
        if enlarged.isdisjoint(old.dims):
            coords[name] = old
        elif (sampling := Sampling.of(np.asarray(old.values))) is not None:
            coords[name] = (old.dims, sampling.upscaled(scale).positions(old.size * scale), old.attrs)
    return coords
