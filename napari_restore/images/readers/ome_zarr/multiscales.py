"""Read the multiscales metadata of an OME-Zarr group, versions 0.1 to 0.6: levels, axes, units, transformations."""

from __future__ import annotations

__all__ = ["Multiscale", "multiscales"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_restore.errors import SourceError
from napari_restore.images.axes import letter_of
from napari_restore.images.units import named_units

_BEFORE_0_3 = tuple({"name": name} for name in "tczyx")
"""The five axes of OME-Zarr before 0.3."""


@dataclass(frozen=True)
class Multiscale:
    """One image of a group, with all levels.

    Attributes
    ----------
    name : str
        Name of the image; empty if it has none.
    paths : tuple of str
        Path of the array of each level in the group, the largest level first.
    axes : tuple of mapping
        For each axis its name, and optionally its type and unit.
    transformations : tuple of list
        For each level its coordinate transformations, in order.
    notes : tuple of str
        Metadata that cannot be copied to a result, one sentence each.
    """

    name: str
    paths: tuple[str, ...]
    axes: tuple[Mapping[str, Any], ...]
    transformations: tuple[list[Mapping[str, Any]], ...]
    notes: tuple[str, ...] = ()

    def letters(self, dimensions: int) -> list[str | None]:
        """Return the letter of each axis, by its name or type; None for an unknown one. Empty if no axis is named."""
        return [letter_of(axis.get("name")) or letter_of(axis.get("type")) for axis in self._axes(dimensions)]

    def units(self, letters: str) -> tuple[dict[str, str], tuple[str, ...]]:
        """Return the known units by letter, given the letters of all axes, and a note for each unknown unit."""
        named = zip(letters, self._axes(len(letters)), strict=False)
        return named_units({letter: axis.get("unit") for letter, axis in named if letter not in "CS"})

    def _axes(self, dimensions: int) -> tuple[Mapping[str, Any], ...]:
        return self.axes or (_BEFORE_0_3 if dimensions == len(_BEFORE_0_3) else ())


def multiscales(ome: Mapping[str, Any], location: str) -> list[Multiscale]:
    """Read the images of a group.

    Parameters
    ----------
    ome : mapping
        OME metadata in the attributes of the group.
    location : str
        Name of the group in messages.

    Returns
    -------
    list of Multiscale
        The images; empty if the group has none.

    Raises
    ------
    SourceError
        If an image has no level.
    """
    found = ome.get("multiscales")
    return [_multiscale(one, location) for one in found] if isinstance(found, Sequence) else []


def _multiscale(one: Mapping[str, Any], location: str) -> Multiscale:
    datasets = one.get("datasets") or ()
    if not datasets:
        raise SourceError(
            f"the multiscales of {location} name no array; copy the image again, or give the array's path."
        )
    name, paths = str(one.get("name") or ""), tuple(str(level["path"]) for level in datasets)
    of_levels = [list(level.get("coordinateTransformations") or ()) for level in datasets]
    of_all = list(one.get("coordinateTransformations") or ())
    systems = one.get("coordinateSystems")
    if not systems:
        described = tuple(axis if isinstance(axis, Mapping) else {"name": axis} for axis in one.get("axes") or ())
        return Multiscale(name, paths, described, tuple(own + of_all for own in of_levels))
    # Since 0.6 the transformations of a level lead to the coordinate system of the image, and those of the image from
    # there to other systems.
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
