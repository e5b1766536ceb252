"""The images that a group of OME-Zarr describes, from 0.1 to 0.6: their levels, axes, units and places."""

from __future__ import annotations

__all__ = ["Multiscale", "multiscales"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_restore.errors import SourceError
from napari_restore.images.axes import letter_of
from napari_restore.images.units import unit_name

_BEFORE_0_3 = tuple({"name": name} for name in "tczyx")
"""OME-Zarr before 0.3 knows these five axes only."""


@dataclass(frozen=True)
class Multiscale:
    """One image of a group, all its levels.

    Attributes
    ----------
    name : str
        Empty where it has none.
    paths : tuple of str
        Path of each level's array in the group, the largest first.
    axes : tuple of mapping
        What is said of each axis: its name, and maybe its type and unit.
    transformations : tuple of list
        For each level, what places its pixels.
    notes : tuple of str
        What is said of the image that a result cannot say.
    """

    name: str
    paths: tuple[str, ...]
    axes: tuple[Mapping[str, Any], ...]
    transformations: tuple[list[Mapping[str, Any]], ...]
    notes: tuple[str, ...] = ()

    def letters(self, dimensions: int) -> list[str | None]:
        """Letter of each axis, by its name or its type; None for one that says neither, nothing where none is named."""
        return [letter_of(axis.get("name")) or letter_of(axis.get("type")) for axis in self._axes(dimensions)]

    def units(self, letters: str) -> dict[str, str]:
        """Unit by letter, for the letters of all axes; those that are unknown are left out."""
        named = zip(letters, self._axes(len(letters)), strict=False)
        return {letter: unit for letter, axis in named if (unit := unit_name(axis.get("unit")))}

    def _axes(self, dimensions: int) -> tuple[Mapping[str, Any], ...]:
        return self.axes or (_BEFORE_0_3 if dimensions == len(_BEFORE_0_3) else ())


def multiscales(ome: Mapping[str, Any], place: str) -> list[Multiscale]:
    """Read the images of a group.

    Parameters
    ----------
    ome : mapping
        OME-Zarr's part of its attributes.
    place : str
        What to call the group.

    Raises
    ------
    SourceError
        If an image has no level.
    """
    found = ome.get("multiscales")
    return [_multiscale(one, place) for one in found] if isinstance(found, Sequence) else []


def _multiscale(one: Mapping[str, Any], place: str) -> Multiscale:
    datasets = one.get("datasets") or ()
    if not datasets:
        raise SourceError(f"the multiscales of {place} name no array; copy the image again, or give the array's path.")
    name, paths = str(one.get("name") or ""), tuple(str(level["path"]) for level in datasets)
    of_levels = [list(level.get("coordinateTransformations") or ()) for level in datasets]
    of_all = list(one.get("coordinateTransformations") or ())
    systems = one.get("coordinateSystems")
    if not systems:
        described = tuple(axis if isinstance(axis, Mapping) else {"name": axis} for axis in one.get("axes") or ())
        return Multiscale(name, paths, described, tuple(own + of_all for own in of_levels))
    # Since 0.6 those of a level lead to the image's own coordinate system, and the others from there to further ones.
    own = _name(of_levels[0][0].get("output")) if of_levels[0] else None
    by_name = {system.get("name"): system for system in systems}
    system = by_name.get(own, systems[0])
    others = ", ".join(repr(key) for key in by_name if key != system.get("name"))
    notes = (
        (f"The image is placed in {system.get('name')!r}; the coordinate systems {others} are left out.",)
        if others
        else ()
    )
    return Multiscale(name, paths, tuple(system.get("axes") or ()), tuple(of_levels), notes)


def _name(reference: Any) -> Any:
    """Return the name of a coordinate system that a transformation refers to."""
    return reference.get("name") if isinstance(reference, Mapping) else reference
