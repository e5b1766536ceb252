"""Many images by one recipe: plan a batch, run it, go on with it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.api.batch_plan import BatchItem, BatchPlan, BatchProgress
from napari_restore.api.boundary import bounded
from napari_restore.api.planning import open_image, plan_unestimated
from napari_restore.api.planning import plan as plan_image
from napari_restore.api.restoring import run
from napari_restore.api.settings import DENOISER, Settings
from napari_restore.errors import OutputError, RecipeError, RestoreError
from napari_restore.images.guards.files import allowing_outside
from napari_restore.images.store import as_location, is_url

if TYPE_CHECKING:
    from typing import Unpack

__all__ = ["plan_batch", "restore_batch", "run_batch"]


@bounded("planning the batch of")
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
    """Find the images of a batch, and say what would be done with each, without doing it.

    Parameters
    ----------
    sources
        Folders (all images in them, and in their folders), patterns such as ``"day*/*.tif"``, files, and OME-Zarrs:
        images, plates and collections, of which each image gets the same place in a new one.
    output
        Folder of the results: an OME-Zarr for each image, called as its source is, below the deepest folder that holds
        all that was asked for.
    model, overwrite
        See `restore`.
    shared_range
        Use one value range for all images, from the lowest to the highest estimate of any of them, so that none is
        treated otherwise than another. If not, and no `value_range` is given, each image has an estimate of its own.
    download
        See `plan`.
    **settings
        See `Settings`; the same for all images.

    Returns
    -------
    BatchPlan
        Print it. The images were opened, and nothing but their metadata was read; of those whose result is there, a few
        small crops as well, to see that it is theirs.

    Raises
    ------
    RestoreError
        If a source is not there, no image is found, none of them can be restored, or the results would not fit.
    """
    from napari_restore.engine.planning.recipe import make_recipe
    from napari_restore.images.collection import check_collection
    from napari_restore.images.finding import find_images
    from napari_restore.models.zoo import find_card

    recipe = make_recipe(model=str(model), **settings)
    find_card(model, img_range=recipe.img_range, mean=recipe.mean)
    if shared_range and recipe.value_range is not None:
        raise RecipeError("value_range is given and is one range for all already; leave shared_range out.")
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
            looked_at = _looked_at(item, model, overwrite, dict(settings), download)
            for path in _collections_of(item, unchecked):
                check_collection(path, collections[path], recipe.ome_version)
                unchecked.remove(path)
            items.append(looked_at)
        except Exception as error:  # whatever opening a file raises, the others are not to suffer from it
            errors.append(error)
            items.append(replace(item, state="impossible", message=_line(error)))
    if len(errors) == len(items):
        raise errors[0]
    made = BatchPlan(folder, tuple(items), tuple(ignored), model, dict(settings), overwrite, shared_range, collections)
    _check_space(made)
    return made


@bounded("the batch of")
def run_batch(plan: BatchPlan) -> Generator[BatchProgress, None, None]:
    """Carry out the plan of a batch, one image after the other; one that fails does not stop the others.

    The results' folder gets a report, ``batch.report.json`` and ``batch.report.md``, beside that of each image.
    Closing the generator stops after the tiles in progress; the same batch, planned anew, goes on from there.

    Yields
    ------
    BatchProgress
        The events of each image's run, and one at its end.

    Raises
    ------
    RecipeError
        If one value range is to be shared by images of different channels.
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
def restore_batch(
    sources: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    model: str | Path = DENOISER,
    overwrite: bool = False,
    shared_range: bool = False,
    progress: Callable[[BatchProgress], None] | None = None,
    **settings: Unpack[Settings],
) -> tuple[BatchItem, ...]:
    """Restore many images by one recipe: `plan_batch` and `run_batch` in one.

    Called again, it skips what is done and goes on with what was begun.

    Parameters
    ----------
    sources, output, model, overwrite, shared_range, **settings
        See `plan_batch`.
    progress
        Called with a `BatchProgress` about four times a second.

    Returns
    -------
    tuple of BatchItem
        Each image with the state "done", or "failed" and why.

    Raises
    ------
    RestoreError
        See `plan_batch` and `run_batch`; the failure of a single image is in what is returned.
    """
    plan = plan_batch(
        sources, output, model=model, overwrite=overwrite, shared_range=shared_range, **settings
    )  # fmt: skip
    ended = []
    for event in run_batch(plan):
        if event.event is None:
            ended.append(event.item)
        if progress is not None:
            progress(event)
    return tuple(ended)


def _looked_at(
    item: BatchItem,
    model: str | Path,
    overwrite: bool,
    settings: dict[str, Any],
    download: Callable[[int, int | None], None] | None,
) -> BatchItem:
    """Open an image, and see how much of its result is there."""
    from napari_restore.engine.store.resume import check_output
    from napari_restore.images.writing import ome_zarr

    plan = plan_unestimated(item.source, model, None if overwrite else item.output, settings, download)
    check_output(plan, item.output, overwrite=overwrite)
    count, chosen = plan.image.series_count, plan.recipe.series
    note = f"image {chosen} of {count} in the file; series (--series) chooses another" if count > 1 else ""
    item = replace(item, message=note, input_bytes=plan.image.nbytes, output_bytes=plan.output_bytes)
    if overwrite or not item.output.exists() or ome_zarr.read_attributes(item.output) is None:
        return item
    stored = [ome_zarr.stored_units(item.output, level) for level in range(plan.levels)]
    if all(units.all() for units in stored):
        return replace(item, state="done")
    return replace(item, state="begun", message=f"{np.count_nonzero(stored[0])} of {plan.blocks} blocks are there")


def _collections_of(item: BatchItem, collections: set[Path]) -> list[Path]:
    """Give those of some new plates and collections that an image goes into."""
    return [path for path in item.output.parents if path in collections]


def _run_item(
    plan: BatchPlan, item: BatchItem, settings: dict[str, Any], number: int, to_make: set[Path]
) -> Generator[BatchProgress, None, BatchItem]:
    """Restore one image, in its new plate, and return what came of it."""
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
            to_make.remove(path)
        for event in run(chosen, item.output, overwrite=plan.overwrite):
            yield BatchProgress(item, number, len(plan.items), event)
    except Exception as error:  # of any kind: the next image has nothing to do with it
        return replace(item, state="failed", message=_line(error))
    return replace(item, state="done", message="")


def _shared_range(plan: BatchPlan) -> tuple[tuple[float, float], ...]:
    """Estimate the value range of each image, and give, for each channel, the range that holds them all."""
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
            continue  # it will fail by itself, with its reason
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
    """Refuse a batch whose results would not fit even if they compressed to half their size."""
    from napari_restore.wording import human_bytes

    needed = math.fsum(item.output_bytes for item in plan.items if item.state == "new")
    parent = next(folder for folder in (plan.folder.resolve(), *plan.folder.resolve().parents) if folder.exists())
    free = shutil.disk_usage(parent).free
    if needed / 2 > free:
        raise OutputError(
            f"the results take {human_bytes(needed)} before compression, and {parent} has {human_bytes(free)} free; "
            "make room, write to another disk, or restore fewer images at a time."
        )


def _line(error: Exception) -> str:
    """Give an error as one line; one that is not ours with its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RestoreError) else f"{type(error).__name__}: {text}"
