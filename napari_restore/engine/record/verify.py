"""Checking a stored result: every object there, readable, and what the recipe makes."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.hardware.backends import check_backend
from napari_restore.engine.hardware.devices import choose_devices
from napari_restore.engine.planning.plan import Block, Plan, source_kind
from napari_restore.engine.planning.planner import make_plan
from napari_restore.engine.planning.recipe import digest
from napari_restore.engine.record.run_report import now, read_content, report_place, reported, write_report
from napari_restore.engine.run.local import build_pyramid, run_blocks
from napari_restore.engine.store.filled import read_marks
from napari_restore.engine.store.progress import Progress
from napari_restore.engine.store.resume import check_attributes, other_pixels, recipe_in, what_differs
from napari_restore.engine.store.sinks import OmeZarrSink, lock_output
from napari_restore.errors import OutputError, RecipeError
from napari_restore.images.opening import open_image
from napari_restore.images.readers import file_series
from napari_restore.images.staging import Stage
from napari_restore.images.store import is_url, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.digests import (
    SUMS,
    Digests,
    gather_digests,
    read_digests,
    record_digest,
    sha256_of,
)
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.metadata_copy import COPIES, copied_metadata, mend_metadata, metadata_changes
from napari_restore.models.zoo import find_card

__all__ = [
    "Verification",
    "record_verification",
    "repair_metadata",
    "repair_output",
    "verify_output",
]

APART = {"float32": 1e-5, "bfloat16": 1e-2}
"""How far two computations of a block may lie apart, as a part of the value range.

Measured with bundled models in bfloat16: batches of one and of two tiles lie up to 4e-3 apart, and results up to 5e-3
from those in float32, of which another device may lie on the other side.
"""


@dataclass(frozen=True)
class Verification:
    """What a check found; `str` of it is one line for each bad object and one for the whole.

    Attributes
    ----------
    path
        The result.
    units
        Stored objects there should be, over all levels.
    missing, damaged, differing
        Those that are not there; cannot be decoded, or fail their checksum; hold other pixels than the recipe makes.
    recomputed
        How many were computed anew for that.
    fingerprint_intact
        Whether the stored fingerprint is that of the stored identity of the run.
    filled
        Blocks whose source could not be read in full when they were made, and what was filled (`on_error="fill"`).
    metadata
        Files of metadata that do not say any more what was written. If those of a level are among them, its pixels
        cannot be told, and no stored object is looked at before they are mended.
    """

    path: Path | str
    units: int
    missing: tuple[WriteUnit, ...]
    damaged: tuple[WriteUnit, ...]
    differing: tuple[WriteUnit, ...]
    recomputed: int
    fingerprint_intact: bool
    filled: Mapping[WriteUnit, tuple[str, ...]] = field(default_factory=dict)
    metadata: tuple[str, ...] = ()

    @property
    def bad(self) -> tuple[WriteUnit, ...]:
        """All write units that a repair would compute anew."""
        return tuple(dict.fromkeys((*self.missing, *self.damaged, *self.differing, *self.filled)))

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.bad and not self.metadata and self.fingerprint_intact

    def __str__(self) -> str:
        rows = [
            f"{kind}: {unit}"
            for kind, units in (("missing", self.missing), ("damaged", self.damaged), ("differing", self.differing))
            for unit in units
        ]
        rows += [f"filled: {unit}: {reason}" for unit, reasons in self.filled.items() for reason in reasons]
        rows += [f"metadata changed: {name}" for name in self.metadata]
        if not self.fingerprint_intact:
            rows.append("the fingerprint does not fit the run it describes: the attributes were changed")
        checked = f"{self.units} stored objects read back, {self.recomputed} computed anew"
        return "\n".join([*rows, f"{self.path}: {checked}, {len(self.bad)} bad"])


def _attributes(path: Path | str) -> dict[str, Any]:
    """Read what a run has said of its result; from the copy, where that has been changed since."""
    copied = copied_metadata(path) if metadata_changes(path) else None
    if copied is not None:
        group = copied.get("zarr.json", {}).get("attributes") or copied.get(".zattrs", {})
        attributes: dict[str, Any] | None = group.get(ome_zarr.ATTRIBUTES)
    else:
        attributes = ome_zarr.read_attributes(path)
    if attributes is None or not {"fingerprint", "identity", "recipe", "source"} <= attributes.keys():
        raise OutputError(f"{path} is no result of this package; give the path of an OME-Zarr that it wrote.")
    check_attributes(attributes, path)
    return attributes


def _levels(path: Path | str) -> Iterator[int]:
    place, level = place_of(path), 0
    while place.has(str(level)):
        yield level
        level += 1


def _is_sound(array: Any, unit: WriteUnit, digests: Digests | None, needed: bool) -> bool:
    """Tell whether one stored object is as it was written: by its digest, or, where there is none, by decoding it."""
    if digests is not None:
        name = ome_zarr.object_name(array, unit)
        fits = digests.fits(name, sha256_of(array.store.root / name) or "")
        if fits is not None or needed:
            return bool(fits)
    try:
        array[ome_zarr.unit_region(array, unit)]
    except MemoryError:
        raise
    except Exception:  # whatever a codec or the store says of a damaged object
        return False
    return True


def _reopened(path: Path | str, attributes: dict[str, Any], source: Any) -> Plan:
    """Plan the run that made a result once more.

    Raises
    ------
    OutputError
        If the source is not there, or is another one, or the weights are others.
    """
    recipe = recipe_in(attributes, path)
    place = attributes["source"] if source is None else source
    file = attributes["source"].partition("::")[0]  # behind it is the path of a dataset in the file
    if source is None and not (Path(file).exists() or is_url(place) or file_series.recognises(place)):
        raise OutputError(f"the source of {path} was {place!r}, which is not there now; give it as source= (--source).")
    try:
        choose_devices(recipe.device)
    except RecipeError:  # the run was on another machine
        recipe = recipe.model_copy(update={"device": "auto"})
    try:
        check_backend(recipe.backend or "eager", choose_devices(recipe.device)[0])
    except RecipeError:  # it was done by what is not here; `_slack` is for that too
        recipe = recipe.model_copy(update={"backend": "eager"})
    image = open_image(place, axes=recipe.axes, level=recipe.level, series=recipe.series)
    name = image.location or image.name
    was, now = attributes["identity"].get("source") or {}, source_kind(image)
    unlike = [f"{key}: {was.get(key)} then, {now[key]} now" for key in now if was.get(key) != now[key]]
    _check_source(name, path, "; ".join(unlike))
    plan = make_plan(image, find_card(recipe.model, img_range=recipe.img_range, mean=recipe.mean), recipe)
    if changed := what_differs(plan, attributes):
        raise OutputError(
            f"{path} cannot be computed anew as it was made ({'; '.join(changed)}); put back what has changed, or make "
            "the result anew with overwrite (--overwrite)."
        )
    _check_source(name, path, other_pixels(plan, attributes))
    return plan


def _check_source(name: str, path: Path | str, changed: str) -> None:
    if changed:
        raise OutputError(
            f"{name} is not the source of {path} ({changed}); give the source as source= (--source). Of a result that "
            "was made of a part of an image, such as a region in napari, that is an array of the part."
        )


def _differing(path: Path | str, plan: Plan, units: list[WriteUnit]) -> Iterator[WriteUnit]:
    """Compute write units of level 0 anew and yield those that hold something else."""
    array, predict, slack = ome_zarr.open_level(path, 0), predictor_of(plan), _slack(plan)
    for unit in units:
        expected = restore_region(plan, plan.region(plan.block_of(unit)), predict)
        stored = np.asarray(array[ome_zarr.unit_region(array, unit)])
        expected = ome_zarr.to_stored(expected, plan.axes)
        if not np.allclose(stored.astype(np.float64), expected.astype(np.float64), rtol=0, atol=slack, equal_nan=True):
            yield unit


def _slack(plan: Plan) -> float:
    """How far two computations of one block may lie apart, in data units: another batch or device rounds otherwise."""
    span = float(np.ptp(plan.recipe.value_range or ((0.0, 1.0),), axis=1).max())
    apart = APART[plan.recipe.precision or "float32"] * span
    return max(1.0, apart) if plan.dtype.kind in "ui" else apart


def verify_output(path: Path | str, *, recompute: int = 0, source: Any = None) -> Verification:
    """Read back every stored object of a result, and compute some of them anew.

    Parameters
    ----------
    path
        An OME-Zarr that this package wrote.
    recompute
        How many blocks of level 0, evenly spread, are computed anew and compared; needs the source.
    source
        Where the source is, if it is not where it was.

    Raises
    ------
    OutputError
        If `path` is no such result, or the source is needed and not there.
    """
    attributes = _attributes(path)
    changed = metadata_changes(path)
    intact = digest(attributes["identity"]) == attributes["fingerprint"]
    if any(name.split("/")[0].isdecimal() and name not in COPIES for name in changed):
        return Verification(path, 0, (), (), (), 0, intact, metadata=changed)
    digests = None if isinstance(path, str) else read_digests(path)
    needed = bool(attributes.get("digests"))
    if digests is not None and (not digests.sound or (needed and not digests.known)):
        changed += (SUMS,)
        needed = bool(digests.known)  # hidden files are easily left behind when a folder is copied
    missing: list[WriteUnit] = []
    damaged: list[WriteUnit] = []
    sound: list[WriteUnit] = []
    for level in _levels(path):
        array, stored = ome_zarr.open_level(path, level), ome_zarr.stored_units(path, level)
        for index in np.ndindex(stored.shape):
            unit = WriteUnit(level, index)
            if not stored[index]:
                missing.append(unit)
            elif _is_sound(array, unit, digests, needed):
                sound.append(unit)
            else:
                damaged.append(unit)
    filled = read_marks(path)
    blocks = [unit for unit in sound if unit.level == 0 and unit not in filled]
    spread = {int((k + 0.5) * len(blocks) / recompute) for k in range(recompute)} if blocks else ()
    chosen = [blocks[i] for i in sorted(spread)]
    differing = tuple(_differing(path, _reopened(path, attributes, source), chosen)) if chosen else ()
    units = len(missing) + len(damaged) + len(sound)
    return Verification(path, units, tuple(missing), tuple(damaged), differing, len(chosen), intact, filled, changed)


def repair_metadata(path: Path | str) -> None:
    """Write the metadata of a result back as they were.

    Raises
    ------
    OutputInUse
        If a run is writing it.
    """
    location = place_of(path).location
    lock = lock_output(location)
    try:
        stage = lock.guard if isinstance(lock.guard, Stage) else None
        mend_metadata(location, stage)
        if stage is not None and isinstance(location, Path):
            if not read_digests(location).known:
                _record_anew(location, stage)
            gather_digests(location, stage)
    finally:
        lock.release()


def _record_anew(path: Path, stage: Stage) -> None:
    """Make the list of digests of what can be decoded, where there is none any more."""
    for level in _levels(path):
        array = ome_zarr.open_level(path, level)
        for index in map(tuple, np.argwhere(ome_zarr.stored_units(path, level)).tolist()):
            unit = WriteUnit(level, index)
            name = ome_zarr.object_name(array, unit)
            if _is_sound(array, unit, None, needed=False):
                record_digest(stage, path, name, (path / name).read_bytes())


def repair_output(verification: Verification, *, source: Any = None) -> Iterator[Progress]:
    """Compute exactly the bad objects anew, those of coarser levels from the level before.

    A block of level 0 is replaced, not deleted first, so nothing is lost if the source cannot be read. What coarser
    levels have made of a block that held other pixels is computed anew as well. If some of the result was filled, then
    what still cannot be read is filled again.

    Yields
    ------
    Progress
        As a run does.

    Raises
    ------
    OutputError
        If the source is not there, or the run is not the one that made the result.
    """
    path = verification.path
    plan = _reopened(path, _attributes(path), source)
    if verification.filled:
        plan = replace(plan, recipe=plan.recipe.model_copy(update={"on_error": "fill"}))
    with OmeZarrSink(plan, path) as sink:  # checks that this is the same run, before anything is changed
        for unit in verification.differing:
            sink.discard_above(unit)
        for unit in verification.bad:
            if unit.level:
                sink.writer.delete(unit)
        chosen = _Chosen(sink, [plan.block_of(unit) for unit in verification.bad if unit.level == 0])

        def mend(plan: Plan, sink: OmeZarrSink, record: Callable[[Receipt], Any]) -> Generator[Progress, None, None]:
            yield from run_blocks(plan, chosen, record)
            yield from build_pyramid(sink)

        yield from reported(plan, sink, mend, keep=True)


class _Chosen:
    """A sink that takes the blocks it is given for the missing ones.

    Parameters
    ----------
    sink
        Where they go.
    blocks
        Their indices.
    """

    def __init__(self, sink: OmeZarrSink, blocks: list[Block]) -> None:
        self.sink, self.blocks = sink, blocks
        self.write, self.settle = sink.write, sink.settle

    def missing(self) -> tuple[int, Iterable[Block]]:
        """The blocks that were given."""
        return len(self.blocks), self.blocks


def record_verification(found: Verification) -> None:
    """Write into the report of a result, where there is one, what a check of it has found."""
    place = report_place(found.path)
    content = read_content(place)
    if content is None:
        return
    content["verification"] = {
        "when": now(),
        "ok": found.ok,
        "units": found.units,
        "recomputed": found.recomputed,
        "fingerprint_intact": found.fingerprint_intact,
        "metadata": list(found.metadata),
        **{kind: [str(unit) for unit in getattr(found, kind)] for kind in ("missing", "damaged", "differing")},
    }
    content["filled"] = {unit.name: list(reasons) for unit, reasons in found.filled.items()}
    write_report(place, content)
