"""Adapt a denoiser for one run, with the adapted weights beside its output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_restore.api.boundary import bounded
from napari_restore.api.planning import plan as make_plan
from napari_restore.api.settings import DENOISER, Settings, describes_settings
from napari_restore.api.zoo import adapt
from napari_restore.errors import OutputError, RecipeError
from napari_restore.images.store import as_location
from napari_restore.ways_out import REPLACE, WayOut

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.adapting.outcome import Adapted, AdaptProgress
    from napari_restore.engine.planning.plan import Plan

__all__ = ["adapt_for"]


@bounded("adapting to")
@describes_settings
def adapt_for(
    source: Any,
    output: str | Path | None,
    *,
    weights: str | Path | None = None,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    progress: bool | Callable[[AdaptProgress], bool | None] | None = True,
    **settings: Unpack[Settings],
) -> Adapted:
    """Adapt a denoiser for a run, unless that has been done: the first half of ``denoise(source, output, adapt=True)``.

    Weights that were adapted from the same model to the same source are taken as they are, so a run that was
    interrupted goes on with them. If a run at the output was started with the model itself, adapting had not helped,
    and is not tried again.

    Parameters
    ----------
    source : str, Path, array or sequence of arrays
        Path or URL of a TIFF, OME-TIFF, ImageJ TIFF, pattern of files, Zarr array, OME-Zarr, HDF5, Imaris, CZI, ND2,
        LIF or NDTiff data set; a NumPy, dask, zarr or xarray array; or the levels of a pyramid, the largest first.
    output : str, Path or None
        Path or URL of the OME-Zarr of the run; None for a result that is not stored.
    weights : str, Path or None
        The ``.safetensors`` file of the adapted weights. If None, it is beside the output:
        ``cells.adapted.safetensors`` for ``cells.zarr``.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR: a denoiser.
        Default: `DENOISER`.
    overwrite : bool
        Replace weights of another source or model.
    progress : bool, callable or None
        True for a bar, or a function that is called with an `AdaptProgress` after each step; see `adapt`.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`. Result: `dtype`, `chunks`, `shards`, `pyramid`,
        `ome_version`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`, `backend`, `lanes`,
        `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    Adapted
        Print it. Its `model` is the one to use.

    Raises
    ------
    RestoreError
        See `adapt`.
    """
    from napari_restore.adapting.outcome import Adapted
    from napari_restore.engine.store.resume import stored_recipe

    file, place = _file(output, weights), None if output is None else as_location(output)
    chosen = make_plan(source, model=model, **settings)
    if file.exists():
        if _belongs(file, chosen):
            told = f"{file} was adapted to this source from {chosen.card.name} before, and is used."
            return Adapted("adapted", str(file), told, file)
        if not overwrite:
            raise OutputError(f"{file} exists, and was not adapted from {chosen.card.name} to this source", REPLACE)
    elif place is not None and not overwrite:
        earlier = stored_recipe(place)
        if earlier is not None and earlier.model == chosen.recipe.model:
            told = f"The run at {place} was started with {chosen.card.name} as it is, which is kept."
            return Adapted("kept", str(model), told)
    return adapt(source, file, model=model, overwrite=overwrite, progress=progress, **settings)


def _file(output: str | Path | None, weights: str | Path | None) -> Path:
    """Return the file of the adapted weights."""
    if weights is not None:
        return Path(weights)
    place = None if output is None else as_location(output)
    if isinstance(place, Path):
        return place.with_suffix(".adapted.safetensors")
    where = "this result is not stored" if place is None else f"{place} is not on a disk"
    raise RecipeError(
        f"adapted weights are kept beside the output, and {where}",
        WayOut("name a file for them: adapt='mine.safetensors'.", "adapt first: napari-restore adapt.",
               "choose an OME-Zarr on a disk."),
    )  # fmt: skip


def _belongs(file: Path, plan: Plan) -> bool:
    """Return whether weights were adapted from the model of a plan to its source."""
    from napari_restore.models.zoo import find_card

    told = find_card(file).training or {}
    return told.get("parent_sha256") == plan.card.sha256 and told.get("source_crops") == dict(plan.source_crops)
