"""Define the interface of readers, and their common checks of levels, series and pixel sizes."""

from __future__ import annotations

__all__ = [
    "Reader",
    "begins_with",
    "check_level",
    "counted_from_first",
    "evenly_spaced",
    "loaded_types",
    "pixel_sizes",
    "series_number",
    "times_begin",
]

import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import SourceError
from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Image

_LISTED = 20
"""Largest number of images named in a message."""

_UNEVEN = 0.1
"""Largest deviation of a step of a coordinate that counts as jitter of a stage, as a share of the mean step."""


class Reader(Protocol):
    """A module that opens one format.

    A source is an absolute path or a URL as a string, or any object that a user passes.
    """

    @property
    def ENDINGS(self) -> tuple[str, ...]:
        """Endings of the files of this format, in lower case with their dot; empty for sources that are not files."""

    def recognises(self, source: Any) -> bool:
        """Check whether a source is of this format, by its type or its first bytes, without reading more."""

    def open(self, source: Any, *, axes: str | None, level: int, series: int | str) -> Image:
        """Open a source that the reader recognises, without reading pixels. See `napari_restore.api.open_image`."""


def begins_with(source: Any, *marks: bytes) -> bool:
    """Check whether a source is a file that begins with one of several byte strings.

    Raises
    ------
    OSError
        If it is a file that cannot be read.
    """
    if not isinstance(source, str) or not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return file.read(max(map(len, marks))).startswith(marks)


def loaded_types(module: str, *names: str) -> tuple[type, ...]:
    """Return types of a package, without importing it: if it is not imported, no object is of them.

    Parameters
    ----------
    module : str
        Name of the package.
    names : str
        Names of the types.

    Returns
    -------
    tuple of type
        The types that the package has by now: while another thread imports it, some are missing.
    """
    loaded = sys.modules.get(module)
    return tuple(getattr(loaded, name) for name in names if hasattr(loaded, name))


def pixel_sizes(given: Mapping[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the valid pixel sizes of a source, and a note for each invalid one.

    Parameters
    ----------
    given : mapping of str to object
        Values of the file by axis, numbers or not; None if the file has none.

    Returns
    -------
    sizes : dict of str to float
        Sizes that are finite and not zero; negative for decreasing positions.
    notes : tuple of str
        Notes for `napari_restore.images.image.Image`.

    Examples
    --------
    >>> pixel_sizes({"Z": -0.5, "Y": "0.1", "X": "wide"})[0]
    {'Z': -0.5, 'Y': 0.1}
    """
    sizes, notes = {}, []
    for axis, value in given.items():
        try:
            size = float(value)
        except (TypeError, ValueError):
            size = math.nan
        if math.isfinite(size) and size:
            sizes[axis] = size
        elif value is not None:
            notes.append(
                f"The source gives the pixel size {value} along {axis}, which is not valid; it is unknown, and 1 "
                "without a unit in the result."
            )
    return sizes, tuple(notes)


def evenly_spaced(values: NDArray[Any], name: object, axis: str) -> tuple[Sampling | None, str | None]:
    """Return the sampling of a coordinate, and a note if its steps vary.

    Parameters
    ----------
    values : numpy.ndarray
        Positions of the pixel centres, shape ``(count,)``, in the unit of the axis.
    name : object
        Name of the coordinate in the note.
    axis : str
        Letter of the axis in the note.

    Returns
    -------
    sampling : Sampling or None
        None if the positions are not evenly spaced, or are fewer than two.
    note : str or None
        Note for `napari_restore.images.image.Image`; None if the positions are evenly spaced, or there is only one.

    Examples
    --------
    >>> evenly_spaced(np.array([3.0, 2.5, 2.0]), "y", "Y")
    (Sampling(pixel_size=-0.5, origin=3.0), None)
    """
    sampling = Sampling.of(values, tolerance=_UNEVEN)
    if sampling is None:
        if values.size == 1 and np.isfinite(values).all():
            return None, None
        return None, f"The coordinate {name!r} is not of evenly spaced numbers; the pixel size along {axis} is unknown."
    if Sampling.of(values) is not None:
        return sampling, None
    steps = np.diff(values.astype(float))
    return sampling, (
        f"The steps of the coordinate {name!r} vary from {steps.min():g} to {steps.max():g}; "
        f"the pixel size along {axis} is their mean, {sampling.pixel_size:g}."
    )


def counted_from_first(values: NDArray[Any], unit: Any) -> tuple[NDArray[Any], Any, str]:
    """Count a coordinate of dates from its first value.

    Parameters
    ----------
    values : numpy.ndarray
        Numbers, shape ``(count,)``.
    unit : object
        Their unit in the file. For dates by the convention of netCDF, it is such as "days since 2020-01-01".

    Returns
    -------
    values : numpy.ndarray
        The numbers; those of dates minus the first.
    unit : object
        The unit; that of dates without the date.
    since : str
        Time of the first value, such as "3 days since 2020-01-01"; empty if the numbers are no dates.
    """
    if not isinstance(unit, str) or " since " not in unit:
        return values, unit, ""
    first = values[:1].tolist()
    return values - values[:1], unit.partition(" since ")[0], f"{first[0]:g} {unit}" if first else ""


def times_begin(since: str, axis: str) -> str:
    """Return a note on times that are counted from the first one."""
    return f"The times begin at {since}; along {axis} they count from there."


def check_level(level: int, count: int, source: str, way_out: str = "") -> None:
    """Raise SourceError if a level does not exist.

    Parameters
    ----------
    level : int
        Number of the level, 0 being the largest.
    count : int
        Number of levels.
    source : str
        Name of the source in messages.
    way_out : str
        Advice in the message.
    """
    if not 0 <= level < count:
        raise SourceError(
            f"level {level} is not in {source}: it has {count}, counted from 0{way_out and '; '}{way_out}."
        )


def series_number(series: int | str, names: Sequence[str], source: str, way_out: str = "") -> int:
    """Return the number of an image in a source with several images.

    Parameters
    ----------
    series : int or str
        Number of the image, counted from 0, or its name.
    names : sequence of str
        Names of all images; an empty string for an image without a name.
    source : str
        Name of the source in messages.
    way_out : str
        Advice in the message.

    Returns
    -------
    int
        Number of the image. A name that consists of digits is tried as a name first.

    Raises
    ------
    SourceError
        If the image does not exist, or several images have the name.

    Examples
    --------
    >>> series_number("left", ["left", "right"], "cells.lif")
    0
    """
    numbers = [number for number, name in enumerate(names) if name and name == series]
    if len(numbers) > 1:
        raise SourceError(f"{source} has several series {series!r}; choose one by its number, such as {numbers[0]}.")
    if numbers:
        return numbers[0]
    number = int(series) if isinstance(series, int) or series.isdecimal() else -1
    if 0 <= number < len(names):
        return number
    listed = ", ".join(f"{n} {name!r}" for n, name in enumerate(names[:_LISTED]) if name)
    listed += ", ..." if listed and len(names) > _LISTED else ""
    raise SourceError(
        f"series {series!r} is not in {source}: it has {len(names)}, counted from 0"
        f"{f' ({listed})' if listed else ''}{f'; {way_out}' if way_out else ''}."
    )
