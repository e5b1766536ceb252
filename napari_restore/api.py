"""The public functions: what scripts call, and all that the command line and the dock widgets do.

Importing this module loads neither torch nor napari nor Qt.

Examples
--------
>>> import numpy as np
>>> from napari_restore import api
>>> stack = np.random.default_rng(0).poisson(100, (2, 64, 64)).astype(np.uint16)
>>> clean = api.denoise(stack, axes="ZYX")
>>> clean.shape, clean.dtype
((2, 64, 64), dtype('uint16'))
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from napari_restore.errors import RecipeError

if TYPE_CHECKING:
    from typing import Unpack

    from numpy.typing import DTypeLike

    from napari_restore.engine.plan import Plan
    from napari_restore.engine.report import Report
    from napari_restore.engine.run import Progress
    from napari_restore.engine.verify import Verification
    from napari_restore.images.image import Image
    from napari_restore.models.card import ModelCard

__all__ = [
    "DENOISER",
    "UPSCALERS",
    "Settings",
    "convert_model",
    "denoise",
    "fetch",
    "inspect",
    "iter_restore",
    "model_card",
    "models",
    "open_image",
    "part",
    "plan",
    "report",
    "restore",
    "run",
    "super_resolve",
    "upscaler",
    "verify",
    "weights_size",
    "weights_state",
]

DENOISER = "restormer-denoise-light"
"""The model that `denoise` uses unless told otherwise."""
UPSCALERS = {2: "swinir-x2-light"}
"""The models that `super_resolve` uses, by scale."""


class Settings(TypedDict, total=False):
    """Settings that all functions here take by keyword; those left out are chosen and shown by `plan`.

    Attributes
    ----------
    axes : str
        One letter of TCZYXS per axis of the source, in its own order: time, channel, depth, height, width, colour
        sample. Needed where the source's metadata do not tell.
    level, series : int
        Resolution level and image of the source; 0.
    img_range, mean : float, tuple of float
        Of a SwinIR checkpoint given by path, where neither its shapes nor its metadata tell: the factor on the input,
        and what is subtracted from its channels.
    tile : int or (int, int)
        Side of a tile in input pixels, a multiple of the model's alignment.
    halo, blend : int
        Context without weight at a tile's inner edges, and width of the hand-over between tiles, in input pixels.
    padding : {"reflect", "authors"}
        How a plane is enlarged to a size that the network takes; ``"authors"`` is the rule of the networks' own test
        scripts, on whole planes without tiles.
    value_range : (float, float) or list of them
        Values in data units that become 0 and 1 for the network; one pair, or one per channel.
    dtype : dtype or "same"
        Of the result; ``"same"`` as the source, rounded and clipped.
    precision : {"float32", "bfloat16"}
        Of the network.
    chunks, shards : tuple of int
        Of a stored result, one length per axis in the order of TCZYXS.
    pyramid : bool
        Whether a stored result gets coarser levels.
    ome_version : {"0.5", "0.4"}
        OME-Zarr version of a stored result.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    batch : int
        Tiles that go through the network together.
    workers : int
        Blocks in progress at a time.
    """

    axes: str | None
    level: int
    series: int
    img_range: float | None
    mean: tuple[float, ...] | None
    tile: int | tuple[int, int] | None
    halo: int | None
    blend: int | None
    padding: str
    value_range: Any
    dtype: DTypeLike
    precision: str
    chunks: tuple[int, ...] | None
    shards: tuple[int, ...] | None
    pyramid: bool
    ome_version: str
    device: str
    batch: int | None
    workers: int | None


def models() -> tuple[ModelCard, ...]:
    """Give the cards of the models that can be named: the bundled ones, then those that are fetched on first use."""
    from napari_restore.models.zoo import all_cards

    return all_cards()


def fetch(model: str | Path, progress: Callable[[int, int | None], None] | None = None) -> ModelCard:
    """Make sure that the weights of a model are on this machine; all functions here do so by themselves.

    Parameters
    ----------
    model
        Name of a model, or path of a checkpoint.
    progress
        Called with the bytes that have arrived and those in all, while a published file is downloaded.

    Returns
    -------
    ModelCard
        With the SHA-256 of the file. The licence of a published file is logged before it is asked for.

    Raises
    ------
    ModelError
        If the file cannot be had or is not the right one; the message says where to put it by hand.
    """
    from napari_restore.models.zoo import find_card, local_card

    return local_card(find_card(model), progress)


def model_card(
    model: str | Path, *, img_range: float | None = None, mean: tuple[float, ...] | None = None
) -> ModelCard:
    """Say what a model is: print its `description()`.

    Parameters
    ----------
    model
        Name of a model, or path of a checkpoint, whose hyper-parameters are inferred.
    img_range, mean
        See `Settings`.

    Raises
    ------
    ModelError
        If there is no such model, or the file cannot be read.
    """
    from napari_restore.models.zoo import find_card

    return find_card(model, img_range=img_range, mean=mean)


def convert_model(
    model: str | Path,
    target: str | Path,
    *,
    half: bool = False,
    img_range: float | None = None,
    mean: tuple[float, ...] | None = None,
) -> ModelCard:
    """Write a model's weights alone as a ``.safetensors`` file: see `napari_restore.models.zoo.convert`.

    Raises
    ------
    ModelError
        If the model cannot be read, or the target cannot be written.
    """
    from napari_restore.models import zoo

    return zoo.convert(model, Path(target), half=half, img_range=img_range, mean=mean)


def open_image(source: Any, *, axes: str | None = None, level: int = 0, series: int = 0) -> Image:
    """Open a source lazily: see `napari_restore.images.sources.open_image`."""
    from napari_restore.images import sources

    return sources.open_image(source, axes=axes, level=level, series=series)


def plan(
    source: Any,
    *,
    model: str | Path = DENOISER,
    output: str | Path | None = None,
    overwrite: bool = False,
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
        open are taken from it.
    **settings
        See `Settings`.

    Returns
    -------
    Plan
        Print it: axes, value range, tiles, blocks, size of the result, device, memory. A small sample of the source is
        read for its value range.

    Raises
    ------
    RestoreError
        If the run is not possible.
    """
    from napari_restore.engine.sinks import check_output

    path = None if output is None else Path(output)
    chosen = _plan(source, model, None if overwrite else path, settings)
    if path is not None:
        check_output(chosen, path, overwrite=overwrite)
    return chosen


def run(
    plan: Plan, output: str | Path | np.ndarray[Any, Any], *, overwrite: bool = False
) -> Generator[Progress, None, None]:
    """Carry out a plan: `iter_restore` for what `plan` has returned.

    Parameters
    ----------
    plan
        What `plan` has returned.
    output
        Path of an OME-Zarr; or an array in memory, of the plan's `shape` and `dtype`, that blocks are copied to.
    overwrite
        Replace an OME-Zarr that is there.

    Yields
    ------
    Progress
        See `iter_restore`.

    Raises
    ------
    RestoreError
        See `restore`; raised when the first event is asked for.
    """
    from napari_restore.engine.run import run_blocks
    from napari_restore.engine.sinks import ArraySink, OmeZarrSink

    if isinstance(output, np.ndarray):
        yield from run_blocks(plan, ArraySink(plan, output))
        return
    sink = OmeZarrSink(plan, Path(output), overwrite=overwrite)
    yield from run_blocks(plan, sink)
    yield from sink.build_pyramid()


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
    from napari_restore.engine.block import restore_region
    from napari_restore.engine.predictor import predictor_for

    assert plan.recipe.value_range is not None
    predict = predictor_for(plan.card, plan.recipe.device, plan.recipe.precision)
    return restore_region(plan, region, predict, plan.recipe.value_range, after_batch)


def report(plan: Plan) -> Report:
    """Say how noisy the source of a plan is and how long its run would take: `inspect` for what `plan` has returned."""
    from napari_restore.engine.report import make_report

    return make_report(plan)


def restore(
    source: Any,
    *,
    model: str | Path,
    output: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
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
        Path of an OME-Zarr to write, block by block. One that a run of the same settings began is continued.
    overwrite
        Replace an OME-Zarr at `output`.
    progress
        Called with a `Progress` about four times a second, while there is an output or an array in memory is restored.
    **settings
        See `Settings`.

    Returns
    -------
    Path, numpy.ndarray, xarray.DataArray or dask.array.Array
        With `output`, its path. Otherwise what the source is: a NumPy array for a NumPy array, an xarray for an xarray
        (lazy if it was), and a lazy dask array, of which nothing is computed yet, for everything else. Axes are in the
        order of the source, and its data type is kept unless `dtype` says otherwise; Y and X are `scale` times as long.

    Raises
    ------
    RestoreError
        If anything is wrong with source, model, settings or output, before any work is done; or if a block cannot be
        read or written, in which case blocks that are stored stay.
    """
    if output is not None:
        for event in iter_restore(source, model=model, output=output, overwrite=overwrite, **settings):
            if progress is not None:
                progress(event)
        return Path(output)
    if isinstance(source, np.ndarray):
        return _restore_in_memory(source, model, progress, settings)
    return _restore_lazily(source, model, settings)


def iter_restore(
    source: Any,
    *,
    output: str | Path,
    model: str | Path = DENOISER,
    overwrite: bool = False,
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
    chosen = plan(source, model=model, output=output, overwrite=overwrite, **settings)
    yield from run(chosen, output, overwrite=overwrite)


def denoise(
    source: Any,
    output: str | Path | None = None,
    *,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
    **settings: Unpack[Settings],
) -> Any:
    """Denoise an array of any size: `restore` with a denoiser.

    Raises
    ------
    RestoreError
        See `restore`.
    """
    return restore(source, model=model, output=output, overwrite=overwrite, progress=progress, **settings)


def super_resolve(
    source: Any,
    output: str | Path | None = None,
    *,
    scale: int = 2,
    model: str | Path | None = None,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
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
    return restore(source, model=chosen, output=output, overwrite=overwrite, progress=progress, **settings)


def upscaler(scale: int, model: str | Path | None = None) -> str | Path:
    """Give the bundled model of a scale, or check that the model given has it.

    Raises
    ------
    RecipeError
        If no bundled model has this scale, or `model` has another one.
    ModelError
        If there is no such model.
    """
    from napari_restore.models.zoo import find_card

    if model is None and scale not in UPSCALERS:
        published = ", ".join(card.name for card in models() if card.scale == scale)
        raise RecipeError(
            f"no bundled model upscales by {scale}; use scale {' or '.join(map(str, UPSCALERS))}, or give model= the "
            f"name of a published model of that scale ({published or 'there is none'}) or a checkpoint."
        )
    chosen = UPSCALERS[scale] if model is None else model
    if find_card(chosen).scale != scale:
        raise RecipeError(f"{model} upscales by {find_card(chosen).scale}, not by {scale}; change scale or model.")
    return chosen


def inspect(source: Any, *, model: str | Path = DENOISER, **settings: Unpack[Settings]) -> Report:
    """Say what a source is, how noisy it is, and what a run would cost.

    Parameters
    ----------
    source, model, **settings
        See `restore`.

    Returns
    -------
    Report
        Print it. A sample of the source is read, and one tile goes through the network to learn its speed.

    Raises
    ------
    RestoreError
        If the source cannot be opened or the run is not possible.
    """
    from napari_restore.engine.report import make_report

    return make_report(_plan(source, model, None, settings))


def verify(
    output: str | Path,
    *,
    recompute: int = 0,
    repair: bool = False,
    source: Any = None,
    progress: Callable[[Progress], None] | None = None,
) -> Verification:
    """Check a stored result, and mend it.

    Parameters
    ----------
    output
        An OME-Zarr that this package wrote.
    recompute
        How many blocks, evenly spread, are computed anew and compared with what is stored; needs the source.
    repair
        Compute exactly the missing and bad objects anew; needs the source.
    source
        Where the source is, if it is not where it was (or was an array in memory).
    progress
        Called with a `Progress` while repairing.

    Returns
    -------
    Verification
        Print it. After a repair, what a second look found.

    Raises
    ------
    OutputError
        If `output` is no such result, or the source is needed and not there.
    """
    from napari_restore.engine.verify import repair_output, verify_output

    found = verify_output(Path(output), recompute=recompute, source=source)
    if not repair or not found.bad:
        return found
    for event in repair_output(found, source=source):
        if progress is not None:
            progress(event)
    return verify_output(Path(output), recompute=recompute, source=source)


def weights_size(card: ModelCard) -> int:
    """Bytes of a model's weights; for one that is not on this machine, four for each parameter."""
    from napari_restore.models import zoo

    return zoo.weights_size(card)


def weights_state(card: ModelCard) -> str:
    """Whether a model's weights are bundled, downloaded, or will be downloaded, and how their identity is known."""
    from napari_restore.models import zoo

    return zoo.weights_state(card)


def _plan(source: Any, model: str | Path, output: Path | None, settings: Any, *, estimate: bool = True) -> Plan:
    """Open the source and plan the run; open settings come from a run that was begun at `output`.

    Published weights that are not here are fetched last, when all else is known to be right: their digest is part of
    what a result is known by.
    """
    from napari_restore.engine.plan import make_plan
    from napari_restore.engine.recipe import make_recipe
    from napari_restore.engine.sinks import stored_recipe
    from napari_restore.models.zoo import find_card, local_card

    recipe = make_recipe(model=str(model), **settings)
    card = find_card(model, img_range=recipe.img_range, mean=recipe.mean)
    earlier = stored_recipe(output) if output is not None else None
    if earlier is not None:
        recipe = recipe.merged(earlier)
    image = open_image(source, axes=recipe.axes, level=recipe.level, series=recipe.series)
    chosen = make_plan(image, card, recipe, estimate=estimate)
    return replace(chosen, card=local_card(chosen.card))


def _restore_in_memory(
    source: np.ndarray[Any, Any], model: str | Path, progress: Callable[[Progress], None] | None, settings: Any
) -> np.ndarray[Any, Any]:
    from napari_restore.engine.predictor import free_memory
    from napari_restore.engine.run import run_blocks
    from napari_restore.engine.sinks import ArraySink
    from napari_restore.images.axes import transposition

    chosen = _plan(source, model, None, settings)
    if chosen.output_bytes > free_memory("cpu"):
        raise RecipeError(
            f"the result takes {chosen.output_bytes / 1e9:.1f} GB and only {free_memory('cpu') / 1e9:.1f} GB of memory "
            "are free; give output= a path, and it is written there block by block."
        )
    sink = ArraySink(chosen)
    for event in run_blocks(chosen, sink):
        if progress is not None:
            progress(event)
    return sink.array.transpose(transposition(chosen.axes, chosen.image.axes))


def _restore_lazily(source: Any, model: str | Path, settings: Any) -> Any:
    from napari_restore.engine.lazy import lazy_result
    from napari_restore.images.axes import transposition

    chosen = _plan(source, model, None, settings, estimate=False)
    result = lazy_result(chosen).transpose(transposition(chosen.axes, chosen.image.axes))
    if type(source).__module__.partition(".")[0] != "xarray":
        return result
    if isinstance(source.data, np.ndarray):
        result = result.compute()
    if result.shape == source.shape:
        return source.copy(data=result)
    kept = {name: values for name, values in source.coords.items() if not {*values.dims} & {*source.dims[-2:]}}
    return type(source)(result, dims=source.dims, coords=kept, name=source.name, attrs=source.attrs)
