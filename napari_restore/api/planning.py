"""Plan a run: open the source, choose the settings that were left out, check everything, and compute nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.api.boundary import bounded
from napari_restore.api.settings import DENOISER, Settings, describes_settings
from napari_restore.errors import RecipeError, RestoreError, SourceError
from napari_restore.images.store import as_location

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.planning.plan import Plan
    from napari_restore.engine.planning.recipe import Recipe
    from napari_restore.images.image import Image

__all__ = ["load_recipe", "open_image", "plan", "plan_source", "plan_unestimated"]

_ENDLESS = 2**60
"""A memory budget in bytes that every run fits."""


@bounded("reading the recipe", RecipeError)
def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read the model and the settings of a recipe, as keyword arguments for the functions here.

    Settings that select what of a source is restored, such as axes and level, are left out: they are about the source
    of that recipe.

    Parameters
    ----------
    path : str or Path
        A recipe file, such as a preset of the dock widgets, or the folder of an OME-Zarr that this package made.

    Returns
    -------
    dict of str to object
        ``model`` and the settings that are not at their defaults.

    Raises
    ------
    RecipeError
        If there is no recipe, or it has settings that are unknown or not allowed.
    """
    from napari_restore.engine.planning.recipe import SOURCE_FIELDS
    from napari_restore.engine.planning.recipe_file import read_recipe

    return read_recipe(path).recipe.model_dump(exclude_unset=True, exclude=set(SOURCE_FIELDS))


@bounded("opening", SourceError)
def open_image(
    source: Any, *, axes: str | None = None, level: int = 0, series: int | str = 0, allow_outside: bool = False
) -> Image:
    """Open a source lazily; nothing but metadata is read.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    axes : str or None
        One letter of TCZYXS per axis of the source, in its own order. If None, from the metadata of the source.
    level : int
        Resolution level; 0 is the largest.
    series : int or str
        Number, from 0, or name of the image in a source that holds several.
    allow_outside : bool
        Read also files outside the folder of the source that it names, or that links in it lead to.

    Returns
    -------
    Image
        Lazy array with axes, pixel size, units and channels.

    Raises
    ------
    SourceError
        If the source cannot be opened, or its axes are not known and not given.
    """
    from napari_restore.images import opening

    if isinstance(source, str | Path):
        source = as_location(source)
    return opening.open_image(source, axes=axes, level=level, series=series, allow_outside=allow_outside)


@bounded("planning the run of")
@describes_settings
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
    """Plan a run without doing it. `run` carries the plan out.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. Default:
        `DENOISER`.
    output : str, Path or None
        Path or URL of the OME-Zarr that the run would write: the plan checks that this is possible. If a run was
        started there, and is not to be replaced, settings left out that pixels depend on are taken from it.
    overwrite : bool
        Replace an OME-Zarr at `output`. If this very run started it and did not complete it, it is resumed all the
        same.
    scheduler : str, distributed.Client, distributed.Cluster or None
        Dask cluster to run on; a str is the address of its scheduler (``"tcp://head:8786"``). Workers have to reach the
        source, the output and a checkpoint given by path under the same names. The device is one of its workers', and
        tile and batch are chosen for it. If None, plan for this machine.
    resources : mapping of str to float, or None
        Dask resources that a worker must offer to take part. If None, ``{"GPU": 1}`` for CUDA, else no resources.
    download : callable or None
        Called with the bytes that have arrived and the bytes in total (None if unknown) while published weights are
        fetched.
    fetch : bool
        Fetch published weights that are not on this machine. A plan without them has no reliable fingerprint; use it
        only to look at.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Plan
        Axes, normalisation, tiles, blocks, size of the result, device and memory; print it. A small sample of the
        source is read to estimate its value range and noise.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.store.resume import check_output, continues, started_by

    path = None if output is None else as_location(output)
    how: dict[str, Any] = {"download": download, "fetch": fetch, "cluster": (scheduler, resources)}
    if path is not None and overwrite and started_by(path, make_recipe(model=str(model), **settings)):
        # Settings that the machine chose when this very call was started are taken over. Otherwise a machine with less
        # memory would choose other blocks, and delete the stored ones.
        earlier = _planned_as_before(source, model, path, settings, how)
        if earlier is not None and continues(earlier, path):
            check_output(earlier, path, overwrite=overwrite)
            return earlier
    chosen = plan_source(source, model, None if overwrite else path, settings, **how)
    if path is not None:
        check_output(chosen, path, overwrite=overwrite)
    return chosen


def _planned_as_before(
    source: Any, model: str | Path, path: Path | str, settings: Settings, how: dict[str, Any]
) -> Plan | None:
    """Plan a run with the settings of a result, and return None if they do not fit: it is of another source.

    Raises
    ------
    RecipeError
        If the result could be continued with more memory. A run that begins anew would delete what is stored.
    """
    from napari_restore.engine.store.resume import continues

    try:
        return plan_source(source, model, path, settings, **how)
    except RestoreError as error:  # an error that is not due to these settings comes again without them
        roomy = None
        with suppress(RestoreError):
            roomy = plan_source(source, model, path, {**settings, "memory_budget": _ENDLESS}, **how)
        if roomy is not None and continues(roomy, path):
            words = f"{path} is continued with the settings it was started with; with others, overwriting deletes it"
            raise RecipeError.around(words, error) from error
        return None


@bounded("planning the run of")
def plan_unestimated(
    source: Any,
    model: str | Path,
    output: Path | str | None,
    settings: dict[str, Any],
    download: Callable[[int, int | None], None] | None = None,
) -> Plan:
    """Plan as `plan` does, but read no pixels: value range and noise stay open unless given, or stored at `output`.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR.
    output : str, Path or None
        Path or URL of an OME-Zarr. If a run was started there, settings left out are taken from it.
    settings : dict of str to object
        Settings by name, as in `Settings`.
    download : callable or None
        Called with the bytes that have arrived and the bytes in total (None if unknown) while published weights are
        fetched.

    Returns
    -------
    Plan
        Plan without estimates.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    return plan_source(source, model, output, settings, estimate=False, download=download)


def plan_source(
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
    """Open the source and plan the run; settings left out are taken from a run that was started at `output`.

    Published weights that are missing are fetched last, after all other checks: the digest of the weights is part of
    the fingerprint of a result.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR.
    output : str, Path or None
        Path or URL of an OME-Zarr. If a run was started there, settings left out are taken from it.
    settings : dict of str to object
        Settings by name, as in `Settings`.
    estimate : bool
        Read a sample of the source to estimate value range and noise.
    download : callable or None
        Called with the bytes that have arrived and the bytes in total (None if unknown) while published weights are
        fetched.
    fetch : bool
        Fetch published weights that are not on this machine.
    cluster : tuple
        `scheduler` and `resources` of `plan`.

    Returns
    -------
    Plan
        The plan, which `run` carries out.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    from napari_restore.engine.planning.planner import make_plan
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.store.resume import stored_recipe
    from napari_restore.models.zoo import find_card, local_card

    recipe = make_recipe(model=str(model), **settings)
    card = find_card(model, img_range=recipe.img_range, mean=recipe.mean)
    given = recipe.given()
    earlier = stored_recipe(output) if output is not None else None
    if earlier is not None:
        recipe = recipe.merged(_for_device(earlier, recipe.device) if cluster[0] is None else earlier)
    image = open_image(
        source, axes=recipe.axes, level=recipe.level, series=recipe.series, allow_outside=recipe.allow_outside
    )
    if cluster[0] is not None:
        from napari_restore.engine.hardware.device import parse_devices
        from napari_restore.engine.run.cluster.planning import plan_on
        from napari_restore.engine.run.cluster.workers import connected

        with connected(cluster[0], parse_devices(recipe.device)[0], cluster[1]) as workers:
            found = replace(plan_on(workers, image, local_card(card, download), recipe), given=given)
            return replace(found, card=local_card(found.card, download))
    chosen = replace(make_plan(image, card, recipe, estimate=estimate), given=given)
    return replace(chosen, card=local_card(chosen.card, download)) if fetch else chosen


def _for_device(earlier: Recipe, device: str) -> Recipe:
    """Clear the settings that an earlier run chose for its device, if that was of another kind."""
    from napari_restore.engine.hardware.device import parse_devices
    from napari_restore.engine.hardware.devices import choose_devices

    now, then = choose_devices(device)[0], parse_devices(earlier.device)[0]
    return (
        earlier if now.kind == then.kind else earlier.model_copy(update=dict.fromkeys(("backend", "batch", "threads")))
    )
