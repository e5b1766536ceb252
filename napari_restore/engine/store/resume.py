"""Whether a run may write to an output, whether what is there is its own beginning, and how much of it is missing."""

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
from napari_restore.errors import OutputError
from napari_restore.images.sameness import lies_in, paths_in
from napari_restore.images.store import Place, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.wording import human_bytes

__all__ = [
    "begun_by",
    "check_attributes",
    "check_output",
    "check_same_run",
    "continues",
    "other_pixels",
    "recipe_in",
    "remaining_bytes",
    "stored_recipe",
    "what_differs",
]


_FORMS: dict[str, type] = {
    "fingerprint": str,
    "given": dict,
    "identity": dict,
    "model": dict,
    "recipe": dict,
    "source": str,
    "source_crops": dict,
}
"""Of what the attributes of a result hold."""


def stored_recipe(path: Path | str) -> Recipe | None:
    """Give the recipe of the run that made an output, or None where there is no output of this package."""
    attributes = ome_zarr.read_attributes(path)
    if not attributes or "recipe" not in attributes:
        return None
    check_attributes(attributes, path)
    return recipe_in(attributes, path)


def check_attributes(attributes: Mapping[str, Any], path: Path | str) -> None:
    """Refuse attributes of a result that are of another form than this package writes.

    Raises
    ------
    OutputError
        With the name of the first that is.
    """
    for name, kind in _FORMS.items():
        if name in attributes and not isinstance(attributes[name], kind):
            raise OutputError(
                f"the metadata of {path} are damaged ({name} is {str(attributes[name])[:50]!r}); "
                "`napari-restore verify --repair` writes them back from their copies."
            )


def recipe_in(attributes: Mapping[str, Any], path: Path | str) -> Recipe:
    """Give the recipe in the attributes of a result.

    Raises
    ------
    OutputError
        If this version does not understand it.
    """
    try:
        return Recipe.from_json(attributes["recipe"])
    except ValidationError as error:
        first = error.errors()[0]
        name, writer = ".".join(map(str, first["loc"])) or "all of it", attributes.get("version")
        way_out = (
            "`napari-restore verify --repair` writes changed metadata back"
            if writer == __version__
            else "install that version to go on with it, or choose another output"
        )
        raise OutputError(
            f"the recipe of {path} was written by napari-restore {writer}, and this is {__version__}, which does not "
            f"take {name} ({first['msg']}); {way_out}."
        ) from error


def begun_by(path: Path | str, recipe: Recipe) -> bool:
    """Tell whether an output was begun by a call that gave what a recipe gives; what a call left open is not compared.

    An output of an earlier version does not tell.
    """
    try:
        attributes = ome_zarr.read_attributes(path) or {}
    except OutputError:
        return False
    there = attributes.get("recipe")
    same_model = isinstance(there, dict) and there.get("model") == recipe.model
    return same_model and attributes.get("given") == recipe.given()


def check_output(plan: Plan, path: Path | str, *, overwrite: bool = False) -> None:
    """Check that a plan's result may be written to a path, without touching it.

    Raises
    ------
    OutputError
        If `path` holds something else than the beginning of this very run, of the same source (or, with `overwrite`,
        something else than a Zarr), if it lies inside the input or around it, or if there is too little space.
    """
    place = place_of(path)
    location = plan.image.location
    if location is not None and place.overlaps(location):
        raise OutputError(f"output {path} and input {location} lie inside one another; choose an output elsewhere.")
    if overwrite and (inside := _read_from(plan, place)):
        raise OutputError(f"the input is read from {inside}, which is in output {path}; choose an output elsewhere.")
    if "S" in plan.axes:
        ome_zarr.stored_axes(plan.axes)
    holds = place.holds()
    attributes = ome_zarr.read_attributes(path) if holds == "zarr" and not overwrite else None
    if attributes is not None:
        check_same_run(plan, attributes, path)
        return
    if holds == "other" or (holds == "zarr" and not overwrite):
        raise OutputError(
            f"{path} exists and is no {'Zarr' if overwrite else 'result of this package'}; choose another output, or "
            "delete it yourself."
        )
    if holds == "zarr" and (name := place.foreign()) is not None:
        raise OutputError(
            f"{path} holds more than a Zarr ({name!r}), which overwrite would delete; move that away, or choose "
            "another output."
        )
    try:
        _check_space(plan.output_bytes, place)
    except OutputError:
        if not (overwrite and continues(plan, path)):  # a part of it is there already
            raise


def _read_from(plan: Plan, place: Place) -> str | None:
    """Name what the source of a run reads in a place that would be replaced: the source of an array is in its graph."""
    if place.holds() != "zarr" or isinstance(place.location, str):
        return None
    return next((found for found in paths_in(plan.image.data) if lies_in(found, place.location)), None)


def _check_space(needed: int, place: Place) -> None:
    """Refuse a run whose result would not fit even if it compressed to half its size."""
    room = place.free()
    if room is not None and needed / 2 > room[0]:
        raise OutputError(
            f"the result takes {human_bytes(needed)} before compression, and {room[1]} has {human_bytes(room[0])} "
            "free; make room, or write to another disk."
        )


def continues(plan: Plan, path: Path | str) -> bool:
    """Tell whether a path holds the beginning of this very run: same fingerprint, same source, and not all is stored.

    With `overwrite`, such an output is gone on with, so that a run that was interrupted is not begun anew by the call
    that began it. What was made by an earlier version, which did not note its source, is not known to be that; but a
    source that cannot be read now is no reason to delete what was made of it.
    """
    if place_of(path).holds() != "zarr":
        return False
    try:
        attributes = ome_zarr.read_attributes(path) or {}
        there = attributes.get("source_crops") or {}
        if attributes.get("fingerprint") != plan.fingerprint or not there or differing_crops(there, plan.source_crops):
            return False
        return not all(ome_zarr.stored_units(path, level).all() for level in range(plan.levels))
    except Exception as error:  # of whatever kind reading damaged metadata is
        cause = error.__cause__ or error
        if isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError):
            raise  # a disk that fails for a moment is no reason to delete what is there
        return False


def what_differs(plan: Plan, attributes: dict[str, Any]) -> list[str]:
    """Say in which settings, source or weights the run that made a result is another one: a clause for each."""
    if attributes.get("fingerprint") == plan.fingerprint:
        return []
    old, new = attributes.get("identity", {}), plan.identity()
    flat_old, flat_new = (_flattened(content) for content in (old, new))
    changed = [
        f"{key}: {flat_old.get(key)} there, {flat_new.get(key)} now"
        for key in sorted(flat_old | flat_new)
        if flat_old.get(key) != flat_new.get(key) and key != "model_sha256"
    ]
    if old.get("model_sha256") != plan.card.sha256:
        there = f"{attributes.get('model', {}).get('name')} of SHA-256 {str(old.get('model_sha256'))[:12]}"
        changed.insert(0, f"other weights: {there} there, {plan.card.name} of {str(plan.card.sha256)[:12]} now")
    return changed or ["the fingerprint there is that of no run"]


def check_same_run(plan: Plan, attributes: dict[str, Any], path: Path | str) -> None:
    """Allow only the continuation of the same run on the same source, and name what differs otherwise."""
    if "fingerprint" not in attributes:
        raise OutputError(f"{path} exists and holds no result of this package; choose another path.")
    check_attributes(attributes, path)
    if changed := what_differs(plan, attributes):
        raise OutputError(
            f"{path} exists and is the result of another recipe ({'; '.join(changed)}); choose another output, give "
            "the same settings to go on with it, or replace it with overwrite (--overwrite)."
        )
    if other := other_pixels(plan, attributes):
        raise OutputError(
            f"{path} exists and is the result of another source ({other}); choose another output, give that source to "
            "go on with it, or replace it with overwrite (--overwrite)."
        )


def other_pixels(plan: Plan, attributes: dict[str, Any]) -> str:
    """Say where a source has other pixels than that of a result, though it is alike in shape; "" where none are known.

    Results of earlier versions do not say what their source was known by, and nothing is compared then.
    """
    there = attributes.get("source_crops") or {}
    regions = differing_crops(there, plan.source_crops) if there else []
    if not regions:
        return ""
    was, now = attributes.get("source"), plan.image.location or plan.image.name
    files = f"{was} there, {now} now" if was != now else f"{now} by name"
    return f"{files}: other pixels in {len(regions)} of {len(there)} places looked at, such as {plan.axes} {regions[0]}"


def _flattened(content: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Dotted keys and values as text, so that tuples and JSON's lists compare alike."""
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
    """Estimate what a run still has to store, from what is stored.

    Returns
    -------
    tuple of int
        Bytes, stored objects that are missing, and stored objects in all, over all levels.
    """
    pixels = [math.prod(ome_zarr.open_level(path, level).shape) for level in range(plan.levels)]
    stored = [ome_zarr.stored_units(path, level) for level in range(plan.levels)]
    there = sum(float(units.mean()) * count for units, count in zip(stored, pixels, strict=True))
    used = sum(
        file.stat().st_size
        for level in range(plan.levels)
        for file in Path(path).glob(f"{level}/**/*")  # an object store is never full
        if file.is_file()
    )
    per_pixel = used / there if there else float(plan.dtype.itemsize)
    missing = sum(int(units.size - units.sum()) for units in stored)
    return round(per_pixel * (sum(pixels) - there)), missing, sum(units.size for units in stored)
