"""Verify a stored result (every object is stored, can be read, and is what the recipe gives), and repair it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.compute.uncertainty import RAW
from napari_restore.engine.hardware.backends import check_backend
from napari_restore.engine.hardware.devices import choose_devices
from napari_restore.engine.planning.plan import Block, Plan, source_kind
from napari_restore.engine.planning.planner import make_plan
from napari_restore.engine.record.report_file import add_to_report
from napari_restore.engine.record.run_report import reported
from napari_restore.engine.record.verification import Verification
from napari_restore.engine.run.local import build_pyramid, run_blocks
from napari_restore.engine.store.annotations import discard_annotations
from napari_restore.engine.store.create import UNCERTAINTY
from napari_restore.engine.store.filled import read_marks
from napari_restore.engine.store.progress import Progress
from napari_restore.engine.store.resume import check_attributes, other_pixels, recipe_in, what_differs
from napari_restore.engine.store.sinks import OmeZarrSink, lock_output
from napari_restore.errors import OutputError, RecipeError
from napari_restore.fingerprint import digest
from napari_restore.images.opening import open_image
from napari_restore.images.readers import file_series
from napari_restore.images.staging import Stage
from napari_restore.images.store import Folder, is_url, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.annotations import copied_objects
from napari_restore.images.writing.digests import (
    SUMS,
    Digests,
    gather_digests,
    read_digests,
    record_digest,
    sha256_of,
)
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.metadata_copy import COPIES, copied_metadata, metadata_changes, repair_from_copies
from napari_restore.images.writing.unit_writer import group_in
from napari_restore.models.zoo import find_card

__all__ = [
    "record_verification",
    "repair_metadata",
    "repair_output",
    "verify_output",
]

TOLERANCES = {"float32": 1e-5, "bfloat16": 1e-2}
"""Largest difference of two computations of a block, as a fraction of the value range, by precision.

Measured with bundled models in bfloat16: batches of one and of two tiles differ by up to 4e-3, and a result by up to
5e-3 from float32. Two devices may differ from float32 in opposite directions.
"""


def _attributes(path: Path | str) -> dict[str, Any]:
    """Read the attributes of a result; if they were changed, read their copy."""
    copied = copied_metadata(path) if metadata_changes(path) else None
    if copied is not None:
        group = copied.get("zarr.json", {}).get("attributes") or copied.get(".zattrs", {})
        attributes: dict[str, Any] | None = group.get(ome_zarr.ATTRIBUTES)
    else:
        attributes = ome_zarr.read_attributes(path)
    if attributes is None or not {"fingerprint", "identity", "recipe", "source"} <= attributes.keys():
        raise OutputError(f"{path} is not a result of this package; give the path of an OME-Zarr that it wrote.")
    check_attributes(attributes, path)
    return attributes


def _levels(path: Path | str) -> Iterator[int]:
    place, level = place_of(path), 0
    while place.has(str(level)):
        yield level
        level += 1


def _groups(attributes: dict[str, Any], level: int) -> tuple[str, ...]:
    """Return the groups that have an array of a level: the result itself, and its uncertainty."""
    return ("", UNCERTAINTY) if level == 0 and attributes["recipe"].get("uncertainty") else ("",)


def _arrays(path: Path | str, attributes: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Yield the group and the level of each array of a result."""
    for level in _levels(path):
        yield from ((group, level) for group in _groups(attributes, level))


def _is_sound(array: Any, unit: WriteUnit, digests: Digests | None, needed: bool, group: str = "") -> bool:
    """Return whether an object is as it was written, by its digest; without a digest, whether it can be decoded."""
    if digests is not None:
        name = ome_zarr.object_name(array, unit)
        fits = digests.fits(f"{group}/{name}" if group else name, sha256_of(array.store.root / name) or "")
        if fits is not None or needed:
            return bool(fits)
    try:
        array[ome_zarr.unit_region(array, unit)]
    except MemoryError:
        raise
    except Exception:  # codecs and stores raise errors of many types for a damaged object
        return False
    return True


def _reopened(path: Path | str, attributes: dict[str, Any], source: Any) -> Plan:
    """Plan the run that made a result again.

    Raises
    ------
    OutputError
        If the source is missing, or source, weights or settings differ from those of the run.
    """
    recipe = recipe_in(attributes, path)
    opened = attributes["source"] if source is None else source
    file = attributes["source"].partition("::")[0]  # "::" separates a file from the path of a dataset in it
    if source is None and not (Path(file).exists() or is_url(opened) or file_series.recognises(opened)):
        raise OutputError(
            f"the source of {path} was {opened!r}, which does not exist now; give it as source= (--source)."
        )
    try:
        choose_devices(recipe.device)
    except RecipeError:  # the run was on another machine
        recipe = recipe.model_copy(update={"device": "auto"})
    try:
        check_backend(recipe.backend or "eager", choose_devices(recipe.device)[0])
    except RecipeError:  # it was done by what is not here; `_slack` is for that too
        recipe = recipe.model_copy(update={"backend": "eager"})
    image = open_image(
        opened, axes=recipe.axes, level=recipe.level, series=recipe.series, allow_outside=recipe.allow_outside
    )
    name = image.location or image.name
    was, now = attributes["identity"].get("source") or {}, source_kind(image)
    differences = [f"{key}: {was.get(key)} then, {now[key]} now" for key in now if was.get(key) != now[key]]
    _check_source(name, path, "; ".join(differences))
    plan = make_plan(image, find_card(recipe.model, img_range=recipe.img_range, mean=recipe.mean), recipe)
    if changed := what_differs(plan, attributes):
        raise OutputError(
            f"{path} cannot be computed again as it was ({'; '.join(changed)}); undo these changes, or replace the "
            "result with overwrite (--overwrite)."
        )
    _check_source(name, path, other_pixels(plan, attributes))
    return plan


def _check_source(name: str, path: Path | str, changed: str) -> None:
    if changed:
        raise OutputError(
            f"{name} is not the source of {path} ({changed}); give the source as source= (--source). For the result of "
            "a region of an image, as made in napari, give an array of this region."
        )


def _differing(path: Path | str, plan: Plan, units: list[WriteUnit]) -> Iterator[WriteUnit]:
    """Compute write units of level 0 again, and yield those with other pixels, or with another uncertainty."""
    predict, groups = predictor_of(plan), ("", UNCERTAINTY) if plan.recipe.uncertainty else ("",)
    arrays = [ome_zarr.open_level(group_in(path, group), 0) for group in groups]
    largest = max(1.0, *(numbers[0] for numbers in plan.recipe.calibration or (RAW,)))  # factor on the spread
    tolerances = (_tolerance(plan, plan.dtype), largest * _tolerance(plan, np.dtype(np.float32)))
    for unit in units:
        again: list[NDArray[Any]] = []
        again.insert(0, restore_region(plan, plan.region(plan.block_of(unit)), predict, uncertain=again.append))
        for array, expected, tolerance in zip(arrays, again, tolerances, strict=False):
            stored = np.asarray(array[ome_zarr.unit_region(array, unit)], np.float64)
            computed = ome_zarr.to_stored(expected, plan.axes).astype(np.float64)
            if not np.allclose(stored, computed, rtol=0, atol=tolerance, equal_nan=True):
                yield unit
                break


def _tolerance(plan: Plan, dtype: np.dtype[Any]) -> float:
    """Return the largest difference of two computations of a block, in data units. Batch and device change rounding."""
    span = float(np.ptp(plan.recipe.value_range or ((0.0, 1.0),), axis=1).max())
    tolerance = TOLERANCES[plan.recipe.precision or "float32"] * span
    return max(1.0, tolerance) if dtype.kind in "ui" else tolerance


def verify_output(path: Path | str, *, recompute: int = 0, source: Any = None) -> Verification:
    """Read back every stored object of a result, and compute some of them again.

    A block of level 0 has two objects if the result has an uncertainty; both have to be there and sound.

    Parameters
    ----------
    path : Path or str
        An OME-Zarr that this package wrote, a path or URL.
    recompute : int
        Number of blocks of level 0, evenly spread, that are computed again and compared. This needs the source.
    source : Any, optional
        The source, if it is no longer where it was.

    Raises
    ------
    OutputError
        If `path` is not such a result, or the source is needed and missing.
    """
    attributes = _attributes(path)
    changed = metadata_changes(path)
    intact = digest(attributes["identity"]) == attributes["fingerprint"]
    for group in _groups(attributes, 0)[1:]:
        changed += tuple(f"{group}/{name}" for name in metadata_changes(group_in(path, group)))
    own = [name.removeprefix(f"{UNCERTAINTY}/") for name in changed]
    if any(name.split("/")[0].isdecimal() and name not in COPIES for name in own):
        return Verification(path, 0, (), (), (), 0, intact, metadata=changed)
    digests = None if isinstance(path, str) else read_digests(path)
    needed = bool(attributes.get("digests"))
    unlisted = needed and digests is not None and not digests.known
    if digests is not None and (unlisted or not digests.sound):
        needed = bool(digests.known)  # a copy of a folder may lack its hidden files
    missing: list[WriteUnit] = []
    damaged: list[WriteUnit] = []
    sound: list[WriteUnit] = []
    for level in _levels(path):
        groups = _groups(attributes, level)
        arrays = {group: ome_zarr.open_level(group_in(path, group), level) for group in groups}
        stored = np.logical_and.reduce([ome_zarr.stored_units(group_in(path, group), level) for group in groups])
        for index in np.ndindex(stored.shape):
            unit = WriteUnit(level, index)
            if not stored[index]:
                missing.append(unit)
            elif all(_is_sound(array, unit, digests, needed, group) for group, array in arrays.items()):
                sound.append(unit)
            else:
                damaged.append(unit)
    if digests is not None and (not digests.sound or (unlisted and (sound or damaged))):
        changed += (SUMS,)
    filled = read_marks(path)
    blocks = [unit for unit in sound if unit.level == 0 and unit not in filled]
    spread = {int((k + 0.5) * len(blocks) / recompute) for k in range(recompute)} if blocks else ()
    chosen = [blocks[i] for i in sorted(spread)]
    differing = tuple(_differing(path, _reopened(path, attributes, source), chosen)) if chosen else ()
    place = place_of(path)
    copied = dict(copied_objects(place, digests)) if digests is not None and isinstance(place, Folder) else {}
    bad = tuple(name for name, fits in copied.items() if not fits)
    units = len(missing) + len(damaged) + len(sound) + len(copied)
    return Verification(
        path, units, tuple(missing), tuple(damaged), differing, len(chosen), intact, filled, changed, bad
    )


def repair_metadata(path: Path | str) -> None:
    """Restore the metadata of a result from their copies.

    Parameters
    ----------
    path : Path or str
        The result, a path or URL.

    Raises
    ------
    OutputInUse
        If a run is writing to it.
    """
    location = place_of(path).location
    lock = lock_output(location)
    try:
        stage = lock.guard if isinstance(lock.guard, Stage) else None
        repair_from_copies(location, stage)
        attributes = _attributes(location)
        for group in _groups(attributes, 0)[1:]:
            repair_from_copies(group_in(location, group), stage)
        if stage is not None and isinstance(location, Path):
            if not read_digests(location).known:
                _rebuild_digests(location, attributes, stage)
            gather_digests(location, stage)
    finally:
        lock.release()


def _rebuild_digests(path: Path, attributes: dict[str, Any], stage: Stage) -> None:
    """Write the list of digests again, of all objects that can be decoded."""
    for group, level in _arrays(path, attributes):
        image = group_in(path, group)
        array = ome_zarr.open_level(image, level)
        for index in map(tuple, np.argwhere(ome_zarr.stored_units(image, level)).tolist()):
            unit = WriteUnit(level, index)
            name = ome_zarr.object_name(array, unit)
            if _is_sound(array, unit, None, needed=False):
                content = (Path(image) / name).read_bytes()
                record_digest(stage, path, f"{group}/{name}" if group else name, content)


def repair_output(verification: Verification, *, source: Any = None) -> Iterator[Progress]:
    """Compute the bad objects again, and no others; those of coarser levels from the level before.

    A block of level 0 is replaced without deleting it first, so nothing is lost if the source cannot be read. The
    coarser objects above a differing block are computed again too. If the result has filled blocks, regions of the
    source that still cannot be read are filled again.

    Parameters
    ----------
    verification : Verification
        The outcome of `verify_output`.
    source : Any, optional
        The source, if it is no longer where it was.

    Yields
    ------
    Progress
        As for a run.

    Raises
    ------
    OutputError
        If the source is missing, or source, weights or settings differ from those of the run that made the result.
    """
    path = verification.path
    plan = _reopened(path, _attributes(path), source)
    if verification.filled:
        plan = replace(plan, recipe=plan.recipe.model_copy(update={"on_error": "fill"}))
    with OmeZarrSink(plan, path) as sink:  # raises before any change if this is not the same run
        for unit in verification.differing:
            sink.discard_above(unit)
        for unit in verification.bad:
            if unit.level:
                sink.writer.delete(unit)
        discard_annotations(plan, path, verification.annotations, sink.stage)
        chosen = _ChosenBlocks(sink, [plan.block_of(unit) for unit in verification.bad if unit.level == 0])

        def stages(plan: Plan, sink: OmeZarrSink, record: Callable[[Receipt], Any]) -> Generator[Progress, None, None]:
            yield from run_blocks(plan, chosen, record)
            yield from build_pyramid(sink)

        yield from reported(plan, sink, stages, keep=True)


class _ChosenBlocks:
    """Sink that reports chosen blocks as missing, so that a run computes them again.

    Parameters
    ----------
    sink : OmeZarrSink
        The sink that stores them.
    blocks : list of tuple of int
        Indices of the blocks.
    """

    def __init__(self, sink: OmeZarrSink, blocks: list[Block]) -> None:
        self.sink, self.blocks = sink, blocks
        self.write, self.settle = sink.write, sink.settle

    def missing(self) -> tuple[int, Iterable[Block]]:
        """Return the chosen blocks."""
        return len(self.blocks), self.blocks


def record_verification(found: Verification) -> None:
    """Write the outcome of a verification into the report of a result, if it has one.

    Parameters
    ----------
    found : Verification
        The outcome of `verify_output`.
    """
    entry = {
        "ok": found.ok,
        "units": found.units,
        "recomputed": found.recomputed,
        "fingerprint_intact": found.fingerprint_intact,
        "metadata": list(found.metadata),
        "annotations": list(found.annotations),
        **{kind: [str(unit) for unit in getattr(found, kind)] for kind in ("missing", "damaged", "differing")},
    }
    filled = {unit.name: list(reasons) for unit, reasons in found.filled.items()}
    add_to_report(found.path, "verification", entry, filled=filled)
