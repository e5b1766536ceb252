"""Restore many images by one recipe: plan a batch, run it, resume it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from napari_restore.api.batch_plan import BatchItem, BatchPlan, BatchProgress
from napari_restore.api.boundary import bounded
from napari_restore.api.planning import open_image, plan_unestimated
from napari_restore.api.planning import plan as plan_image
from napari_restore.api.restoring import run
from napari_restore.api.settings import DENOISER, Settings, describes_settings
from napari_restore.errors import OutputError, RecipeError, RestoreError
from napari_restore.images.guards.files import allowing_outside
from napari_restore.images.store import as_location, is_url
from napari_restore.progress_bars import downloading, following, restoring_batch
from napari_restore.ways_out import Face, WayOut, same

if TYPE_CHECKING:
    from typing import Unpack

    from napari_restore.engine.planning.recipe import Recipe
    from napari_restore.images.collection import Collection

__all__ = ["plan_batch", "restore_batch", "run_batch"]

_OTHERS = WayOut("series= chooses another.", "--series chooses another.", "only this one is restored.")


@bounded("planning the batch of")
@describes_settings
def plan_batch(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    shared_range: bool = False,
    download: Callable[[int, int | None], None] | None = None,
    **settings: Unpack[Settings],
) -> BatchPlan:
    """Find the images of a batch and plan their runs, without doing them. All images have the same settings.

    Parameters
    ----------
    sources : str, Path or sequence of str and Path
        Folders (all images in them and in their subfolders), patterns such as ``"day*/*.tif"``, files, and OME-Zarrs:
        images, plates and collections. Each image of a plate or collection gets the same path in a new one.
    output : str or Path
        Folder of the results. Each result is an OME-Zarr named after its source, below the deepest folder that holds
        all sources.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. Default:
        `DENOISER`.
    overwrite : bool
        Replace the results that are there. If this very batch started a result and did not complete it, it is resumed
        all the same.
    shared_range : bool
        Use one value range for all images: from the lowest to the highest estimate of any image, channel by channel. If
        False and no `value_range` is given, each image has an estimate of its own.
    download : callable or None
        Called with the bytes that have arrived and the bytes in total (None if unknown) while published weights are
        fetched.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    BatchPlan
        Every image with its state; print it. Of the images only metadata is read; of those that have a result, also a
        few small crops, to check that the result is theirs.

    Raises
    ------
    RestoreError
        If a source does not exist, no image is found, none of them can be restored, or the results would not fit on the
        disk.
    """
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.images.collection import check_collection
    from napari_restore.images.finding import find_images
    from napari_restore.models.zoo import find_card

    recipe = make_recipe(model=str(model), **settings)
    find_card(model, img_range=recipe.img_range, mean=recipe.mean)
    if shared_range and recipe.value_range is not None:
        raise RecipeError(
            "a range of values is given, which is already one for all images",
            WayOut("leave out shared_range=.", "leave out --shared-range.", "untick One range."),
        )
    output = as_location(output)
    if is_url(output):
        raise OutputError(f"a batch is written to a folder on a disk, not to {output}; restore there image by image.")
    folder = Path(output)
    listed = [str(as_location(one)) for one in ([sources] if isinstance(sources, str | Path) else sources)]
    with allowing_outside(recipe.allow_outside):
        found, ignored = find_images(listed, apart=folder)
    collections = {
        folder / one.output[: -len(one.source[len(one.collection.location) :])]: one.collection
        for one in found
        if one.collection is not None
    }
    items: list[BatchItem] = []
    errors: list[Exception] = []
    unchecked = set(collections)
    for one in found:
        item = BatchItem(one.source, folder / one.output, one.output, "new")
        try:
            found_item = _with_state(item, model, overwrite, dict(settings), download)
            for path in _collections_of(item, unchecked):
                check_collection(path, collections[path], recipe.ome_version)
                unchecked.remove(path)
            items.append(found_item)
        except Exception as error:  # of any type: an image that cannot be opened does not stop the others
            errors.append(error)
            items.append(replace(item, state="impossible", note=_line(error)))
    if len(errors) == len(items):
        raise errors[0]
    made = BatchPlan(folder, tuple(items), tuple(ignored), model, dict(settings), overwrite, shared_range, collections)
    _check_space(made)
    return made


@bounded("the batch of")
def run_batch(plan: BatchPlan) -> Generator[BatchProgress, None, None]:
    """Carry out the plan of a batch, one image after the other; one that fails does not stop the others.

    A report is kept in the folder of the results, as ``batch.report.json`` and ``batch.report.md``, and one beside each
    result. Closing the generator stops the batch; the same batch, planned again, resumes it.

    Parameters
    ----------
    plan : BatchPlan
        Plan that `plan_batch` has returned.

    Yields
    ------
    BatchProgress
        The events of the run of each image, and one event at its end.

    Raises
    ------
    RecipeError
        If images with different channels are to share one value range.
    """
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.engine.record.batch_report import BatchReport

    settings = dict(plan.settings)
    recipe = make_recipe(model=str(plan.model), **settings)
    kept = recipe.model_dump(mode="json", exclude_defaults=True) | {"model": str(plan.model)}
    report = BatchReport(plan.folder, kept)
    if plan.shared_range:
        if report.content["shared_range"] is None or plan.overwrite:
            report.share_range([list(pair) for pair in _shared_range(plan)])
        settings["value_range"] = [tuple(pair) for pair in report.content["shared_range"]]
    to_make = set(plan.collections)
    try:
        for number, item in enumerate(plan.items, 1):
            ended = yield from _run_item(plan, item, settings, number, to_make)
            state = "skipped" if item.state == "done" else ended.state
            report.image(item.name, item.source, item.output, state, ended.message or None)
            yield BatchProgress(ended, number, len(plan.items))
    finally:
        report.end()


@bounded("the batch of")
@describes_settings
def restore_batch(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    shared_range: bool = False,
    progress: bool | Callable[[BatchProgress], None] | None = True,
    **settings: Unpack[Settings],
) -> tuple[BatchItem, ...]:
    """Restore many images by one recipe: `plan_batch` and `run_batch` in one call.

    The same call again skips the images that are done and resumes those that were interrupted.

    Parameters
    ----------
    sources : str, Path or sequence of str and Path
        Folders (all images in them and in their subfolders), patterns such as ``"day*/*.tif"``, files, and OME-Zarrs:
        images, plates and collections. Each image of a plate or collection gets the same path in a new one.
    output : str or Path
        Folder of the results. Each result is an OME-Zarr named after its source, below the deepest folder that holds
        all sources.
    model : str or Path
        Name of a bundled or published model (`models`), or path of a checkpoint of Restormer or SwinIR. Default:
        `DENOISER`.
    overwrite : bool
        Replace the results that are there. If this very batch started a result and did not complete it, it is resumed
        all the same.
    shared_range : bool
        Use one value range for all images: from the lowest to the highest estimate of any image, channel by channel. If
        False and no `value_range` is given, each image has an estimate of its own.
    progress : bool, callable or None
        True shows a bar on standard error, if it is a terminal, or in the notebook, once the call has taken a second;
        elsewhere nothing is shown. A function is called with a `BatchProgress` about four times a second. False or None
        for neither.
    **settings : Unpack[Settings]
        Settings by keyword; those left out are chosen, and shown by `plan`. `Settings` describes each. Source: `axes`,
        `level`, `series`. Network and tiles: `img_range`, `mean`, `tile`, `halo`, `blend`, `padding`, `precision`,
        `denoise`, `attention_window`, `ensemble`. Values: `intensity`, `value_range`, `noise`, `valid_range`,
        `fill_values`, `neighbours`, `strength`, `missing_values`, `calibration`. Result: `dtype`, `chunks`, `shards`,
        `pyramid`, `ome_version`, `uncertainty`. How to run: `device`, `batch`, `workers`, `on_error`, `fsync`,
        `backend`, `lanes`, `memory_budget`, `threads`, `allow_outside`.

    Returns
    -------
    tuple of BatchItem
        Each image with the state "done", or "failed" and the reason.

    Raises
    ------
    RestoreError
        If a source does not exist, no image is found, none of them can be restored, the results would not fit on the
        disk, or images with different channels are to share one value range. The failure of a single image is not
        raised, but stands in its item.
    """
    with following(progress is True, downloading(str(model))) as download:
        plan = plan_batch(
            sources, output, model=model, overwrite=overwrite, shared_range=shared_range, download=download, **settings
        )
    ended = []
    with following(progress, restoring_batch) as follow:
        for event in run_batch(plan):
            if event.event is None:
                ended.append(event.item)
            follow(event)
    return tuple(ended)


def _with_state(
    item: BatchItem,
    model: str | Path,
    overwrite: bool,
    settings: dict[str, Any],
    download: Callable[[int, int | None], None] | None,
) -> BatchItem:
    """Open an image and find out how much of its result is stored."""
    from napari_restore.engine.store.annotations import annotations_are_copied
    from napari_restore.engine.store.resume import check_output
    from napari_restore.images.writing import ome_zarr

    plan = plan_unestimated(item.source, model, None if overwrite else item.output, settings, download)
    check_output(plan, item.output, overwrite=overwrite)
    count, chosen = plan.image.series_count, plan.recipe.series
    note = _OTHERS.after(f"image {chosen} of {count} in the file; ") if count > 1 else None
    item = replace(
        item, note=note, input_bytes=plan.image.nbytes, output_bytes=plan.output_bytes,
        copied_bytes=plan.image.copied_bytes,
    )  # fmt: skip
    if overwrite or not item.output.exists() or ome_zarr.read_attributes(item.output) is None:
        return item
    stored = [ome_zarr.stored_units(item.output, level) for level in range(plan.levels)]
    if all(units.all() for units in stored):
        if annotations_are_copied(plan.image, item.output):
            return replace(item, state="done")
        return replace(item, state="begun", note=same("labels and tables are not copied yet"))
    return replace(item, state="begun", note=same(f"{np.count_nonzero(stored[0])} of {plan.blocks} blocks are stored"))


def _collections_of(item: BatchItem, collections: set[Path]) -> list[Path]:
    """Return those of the new plates and collections that an image belongs to."""
    return [path for path in item.output.parents if path in collections]


def _run_item(
    plan: BatchPlan, item: BatchItem, settings: dict[str, Any], number: int, to_make: set[Path]
) -> Generator[BatchProgress, None, BatchItem]:
    """Restore one image, into its new plate if it has one, and return it with its final state."""
    from napari_restore.engine.store.ending import tidy
    from napari_restore.images.collection import create_collection

    if item.state == "done":
        tidy(item.output)
        return item
    if item.state == "impossible":
        return replace(item, state="failed")
    try:
        chosen = plan_image(
            item.source, model=plan.model, output=item.output, overwrite=plan.overwrite, **settings
        )  # fmt: skip
        for path in _collections_of(item, to_make):
            create_collection(path, plan.collections[path], chosen.recipe.ome_version)
            _copy_of_collection(path, plan.collections[path], chosen.recipe)
            to_make.remove(path)
        for event in run(chosen, item.output, overwrite=plan.overwrite):
            yield BatchProgress(item, number, len(plan.items), event)
    except Exception as error:  # of any type: the next image does not depend on this one
        return replace(item, state="failed", note=_line(error))
    return replace(item, state="done", note=None)


def _copy_of_collection(path: Path, collection: Collection, recipe: Recipe) -> None:
    """Copy the labels and tables of a plate and its wells, which belong to no single image."""
    from napari_restore.engine.store.annotations import copy_annotations

    for inside, found in collection.annotations.items():
        for _ in copy_annotations(found, path / inside, recipe, None, []):
            pass


def _shared_range(plan: BatchPlan) -> tuple[tuple[float, float], ...]:
    """Estimate the value range of each image, and return for each channel the range that contains them all."""
    from napari_restore.engine.planning.sampling import sample_channels

    found: dict[str, tuple[tuple[float, float], ...]] = {}
    for item in plan.items:
        if item.state == "impossible":
            continue
        chosen = {
            name: plan.settings[name]
            for name in ("axes", "level", "series", "allow_outside")
            if plan.settings.get(name) is not None
        }
        try:
            sampled = sample_channels(open_image(item.source, **chosen))
        except RestoreError:
            continue  # its own run will fail, with the reason
        found[item.source] = tuple((channel.range.low, channel.range.high) for channel in sampled)
    counts = {len(ranges): source for source, ranges in found.items()}
    if len(counts) != 1:
        described = ", ".join(f"{source} has {count}" for count, source in counts.items()) or "no image can be read"
        raise RecipeError(
            f"one value range needs images of the same channels: {described}; restore them in two batches."
        )
    return tuple(
        (min(low for low, _ in channel), max(high for _, high in channel))
        for channel in zip(*found.values(), strict=True)
    )


def _check_space(plan: BatchPlan) -> None:
    """Refuse a batch whose results would not fit even if their pixels compressed to half their size."""
    from napari_restore.wording import human_bytes

    new = [item for item in plan.items if item.state == "new"]
    needed, copied = sum(item.output_bytes for item in new), sum(item.copied_bytes for item in new)
    copied += sum(
        size for found in plan.collections.values() for one in found.annotations.values()
        for size in one.stored_bytes.values()
    )  # fmt: skip
    parent = next(folder for folder in (plan.folder.resolve(), *plan.folder.resolve().parents) if folder.exists())
    free = shutil.disk_usage(parent).free
    if needed / 2 + copied > free:
        also = f", their labels and tables {human_bytes(copied)}" if copied else ""
        raise OutputError(
            f"the results take {human_bytes(needed)} before compression{also}, and {parent} has {human_bytes(free)} "
            "free; make room, write to another disk, or restore fewer images at a time."
        )


def _line(error: Exception) -> WayOut:
    """Return an error as one line for each interface, with its type unless it is a `RestoreError`."""
    if isinstance(error, RestoreError):
        return WayOut(*(" ".join(error.told(face).split()) for face in get_args(Face)))
    return same(f"{type(error).__name__}: {' '.join(str(error).split())}")
