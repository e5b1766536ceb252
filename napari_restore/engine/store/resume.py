"""Decide whether a run may write to an output or resume it, and estimate how much is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from napari_restore import __version__
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.source_identity import differing_crops
from napari_restore.engine.store.filled import in_doubt, read_marks
from napari_restore.errors import OutputError
from napari_restore.images.sameness import lies_in, paths_in
from napari_restore.images.store import Place, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.ways_out import REPAIR, REPLACE, same
from napari_restore.wording import human_bytes

__all__ = [
    "check_attributes",
    "check_output",
    "check_same_run",
    "continues",
    "other_pixels",
    "recipe_in",
    "remaining_bytes",
    "started_by",
    "stored_recipe",
    "what_differs",
]


_TYPES: dict[str, type] = {
    "fingerprint": str,
    "given": dict,
    "identity": dict,
    "model": dict,
    "recipe": dict,
    "source": str,
    "source_crops": dict,
}
"""Types of the attributes of a result."""


def stored_recipe(path: Path | str) -> Recipe | None:
    """Return the recipe of the run that made an output, or None if there is no output of this package.

    Parameters
    ----------
    path : Path or str
        The output, a path or URL.

    Raises
    ------
    OutputError
        If its attributes are damaged, or were written by a version whose recipe this one cannot read.
    """
    attributes = ome_zarr.read_attributes(path)
    if not attributes or "recipe" not in attributes:
        return None
    check_attributes(attributes, path)
    return recipe_in(attributes, path)


def check_attributes(attributes: Mapping[str, Any], path: Path | str) -> None:
    """Check that the attributes of a result have the types that this package writes.

    Raises
    ------
    OutputError
        If one has another type; the message names it.
    """
    for name, kind in _TYPES.items():
        if name in attributes and not isinstance(attributes[name], kind):
            raise OutputError(
                f"the metadata of {path} are damaged ({name} is {str(attributes[name])[:50]!r})",
                REPAIR,
            )


def recipe_in(attributes: Mapping[str, Any], path: Path | str) -> Recipe:
    """Return the recipe in the attributes of a result.

    Raises
    ------
    OutputError
        If this version cannot read it.
    """
    try:
        return Recipe.from_json(attributes["recipe"])
    except ValidationError as error:
        first = error.errors()[0]
        name, writer = ".".join(map(str, first["loc"])) or "all of it", attributes.get("version")
        other = "install that version to resume the run, or choose another output."
        raise OutputError(
            f"the recipe of {path} was written by napari-restore {writer}, and this is {__version__}, which does not "
            f"accept {name} ({first['msg']})",
            REPAIR if writer == __version__ else same(other),
        ) from error


def started_by(path: Path | str, recipe: Recipe) -> bool:
    """Return whether an output was started by a call with the same given settings as a recipe.

    Settings that were chosen automatically are not compared. Outputs of versions that did not store the given settings
    return False.

    Parameters
    ----------
    path : Path or str
        The output, a path or URL.
    recipe : Recipe
        The recipe of the present call.
    """
    try:
        attributes = ome_zarr.read_attributes(path) or {}
    except OutputError:
        return False
    stored = attributes.get("recipe")
    same_model = isinstance(stored, dict) and stored.get("model") == recipe.model
    return same_model and attributes.get("given") == recipe.given()


def check_output(plan: Plan, path: Path | str, *, overwrite: bool = False) -> None:
    """Check that the result of a plan may be written to a path, without changing anything.

    Parameters
    ----------
    plan : Plan
        The run.
    path : Path or str
        The output, a path or URL.
    overwrite : bool
        Whether an existing Zarr may be replaced.

    Raises
    ------
    OutputError
        If `path` holds anything but a result of the same run on the same source (with `overwrite`: anything but a
        Zarr), if output and source lie inside one another, or if there is not enough space.
    """
    place = place_of(path)
    location = plan.image.location
    if location is not None and place.overlaps(location):
        raise OutputError(f"output {path} and source {location} lie inside one another; choose an output elsewhere.")
    if overwrite and (inside := _read_from(plan, place)):
        raise OutputError(f"the source is read from {inside}, which is in output {path}; choose an output elsewhere.")
    if "S" in plan.axes:
        ome_zarr.stored_axes(plan.axes)
    holds = place.holds()
    attributes = ome_zarr.read_attributes(path) if holds == "zarr" and not overwrite else None
    if attributes is not None:
        check_same_run(plan, attributes, path)
        return
    if holds == "other" or (holds == "zarr" and not overwrite):
        raise OutputError(
            f"{path} exists and is not a {'Zarr' if overwrite else 'result of this package'}; choose another output, "
            "or delete it yourself."
        )
    if holds == "zarr" and (name := place.foreign()) is not None:
        raise OutputError(
            f"{path} holds more than a Zarr ({name!r}), which overwrite would delete; move that away, or choose "
            "another output."
        )
    if reason := place.obstacle():
        raise OutputError(f"{path} cannot be written: {reason}; choose an output in a folder with write access.")
    try:
        _check_space(plan, place)
    except OutputError:
        if not (overwrite and continues(plan, path)):  # a part of it is stored already
            raise


def _read_from(plan: Plan, place: Place) -> str | None:
    """Return a path inside the replaced output that the source is read from; dask graphs hold the paths of arrays."""
    if place.holds() != "zarr" or isinstance(place.location, str):
        return None
    return next((found for found in paths_in(plan.image.data) if lies_in(found, place.location)), None)


def _check_space(plan: Plan, place: Place) -> None:
    """Raise if the result would not fit on the disk even if its pixels were compressed to half their size."""
    room = place.free()
    beside = math.prod(plan.shape) * 4 if plan.recipe.uncertainty else 0
    if room is None or (plan.output_bytes + beside) / 2 + plan.image.copied_bytes <= room[0]:
        return
    also = f", its uncertainty {human_bytes(beside)}" if beside else ""
    copied = f", its labels and tables {human_bytes(plan.image.copied_bytes)}" if plan.image.copied_bytes else ""
    raise OutputError(
        f"the result takes {human_bytes(plan.output_bytes)} before compression{also}{copied}, and {room[1]} has "
        f"{human_bytes(room[0])} free; make room, or write to another disk."
    )


def continues(plan: Plan, path: Path | str) -> bool:
    """Return whether a path holds an incomplete result of the same run: same fingerprint and same source.

    With `overwrite`, such an output is resumed, so the call that started an interrupted run does not start it again
    from the beginning. Earlier versions stored no digests of the source; their outputs are not resumed then. A source
    that cannot be read now counts as the same source, so its result is not deleted.

    Parameters
    ----------
    plan : Plan
        The run.
    path : Path or str
        The output, a path or URL.

    Raises
    ------
    OSError
        If the output cannot be read at the moment.
    """
    if place_of(path).holds() != "zarr":
        return False
    try:
        attributes = ome_zarr.read_attributes(path) or {}
        crops = attributes.get("source_crops") or {}
        if attributes.get("fingerprint") != plan.fingerprint or not crops or differing_crops(crops, plan.source_crops):
            return False
        complete = all(ome_zarr.stored_units(path, level).all() for level in range(plan.levels))
        return not complete or any(map(in_doubt, read_marks(path).values()))
    except Exception as error:  # damaged metadata raise errors of any type
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            raise  # the disk may fail for a moment only, and the result must not be deleted for that
        return False


def what_differs(plan: Plan, attributes: dict[str, Any]) -> list[str]:
    """Return the settings, properties of the source and weights in which a plan differs from a stored run, in words."""
    if attributes.get("fingerprint") == plan.fingerprint:
        return []
    old, new = attributes.get("identity", {}), plan.identity()
    flat_old, flat_new = (_flattened(content) for content in (old, new))
    changed = [
        f"{key.removeprefix('recipe.').replace('_', ' ')}: {_told(flat_old, key)} stored, {_told(flat_new, key)} now"
        for key in sorted(flat_old | flat_new)
        if flat_old.get(key) != flat_new.get(key) and key != "model_sha256"
    ]
    if old.get("model_sha256") != plan.card.sha256:
        stored, now = attributes.get("model", {}).get("name"), plan.card.name
        if stored == now:  # only their digests tell them apart
            stored, now = (
                f"{now} of digest {str(digest)[:12]}" for digest in (old.get("model_sha256"), plan.card.sha256)
            )
        changed.insert(0, f"other weights: {stored} stored, {now} now")
    return changed or ["the stored fingerprint does not fit the stored settings"]


def _told(content: dict[str, str], key: str) -> str:
    """Return a flattened value in words."""
    value = content.get(key, "None")
    return "none" if value == "None" else value


def check_same_run(plan: Plan, attributes: dict[str, Any], path: Path | str) -> None:
    """Check that a stored run is the same run on the same source, so that it can be resumed.

    Raises
    ------
    OutputError
        If it is not; the message names what differs.
    """
    if "fingerprint" not in attributes:
        raise OutputError(f"{path} exists and holds no result of this package; choose another output.")
    check_attributes(attributes, path)
    if changed := what_differs(plan, attributes):
        raise OutputError(
            f"{path} exists and is the result of another recipe ({'; '.join(changed)}); choose another output, give "
            "the same settings to resume it",
            REPLACE.after("or "),
        )
    if other := other_pixels(plan, attributes):
        raise OutputError(
            f"{path} exists and is the result of another source ({other}); choose another output, give that source to "
            "resume it",
            REPLACE.after("or "),
        )


def other_pixels(plan: Plan, attributes: dict[str, Any]) -> str:
    """Return where a source of the same shape has other pixels than the source of a result, in words, or "".

    Results of earlier versions hold no digests of their source; nothing is compared then.
    """
    crops = attributes.get("source_crops") or {}
    regions = differing_crops(crops, plan.source_crops) if crops else []
    if not regions:
        return ""
    was, now = attributes.get("source"), plan.image.location or plan.image.name
    files = f"{was} then, {now} now" if was != now else f"the name is the same, {now}"
    return f"{files}: other pixels in {len(regions)} of {len(crops)} compared regions, such as {plan.axes} {regions[0]}"


def _flattened(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return dotted keys and values as text, so that tuples equal the lists of JSON."""
    flat: dict[str, str] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            flat |= _flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(_listed(value))
    return flat


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, list | tuple) else value


def remaining_bytes(plan: Plan, path: Path | str) -> tuple[int, int, int]:
    """Estimate the bytes that a run still has to store, from the bytes per pixel of the stored objects.

    Returns
    -------
    tuple of int
        Bytes, missing objects, and all objects of the complete result, over all levels.
    """
    pixels = [math.prod(ome_zarr.open_level(path, level).shape) for level in range(plan.levels)]
    stored = [ome_zarr.stored_units(path, level) for level in range(plan.levels)]
    stored_pixels = sum(float(units.mean()) * count for units, count in zip(stored, pixels, strict=True))
    used = sum(
        file.stat().st_size
        for level in range(plan.levels)
        for file in Path(path).glob(f"{level}/**/*")  # an object store is never full
        if file.is_file()
    )
    per_pixel = used / stored_pixels if stored_pixels else float(plan.dtype.itemsize)
    missing = sum(int(units.size - units.sum()) for units in stored)
    return round(per_pixel * (sum(pixels) - stored_pixels)), missing, sum(units.size for units in stored)
