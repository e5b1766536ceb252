"""What every reader has to offer, and what all of them share: the choice of a level and of one image of several."""

from __future__ import annotations

__all__ = ["WAY_ON", "Reader", "begins_with", "check_level", "pixel_sizes", "series_number"]

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from napari_restore.errors import SourceError
from napari_restore.images.image import Image

_LISTED = 20
"""So many images are named in a message."""

WAY_ON = 'on_error="fill" (--on-error fill) goes on without it.'
"""What to do where a part of an image was never stored."""


class Reader(Protocol):
    """A module that opens one format.

    A reader is asked about every source: an absolute path or a URL as a string, or any object that a user passes.
    """

    @property
    def ENDINGS(self) -> tuple[str, ...]:
        """Endings of the files of this format, in lower case with their dot; empty for what is no file."""

    def recognises(self, source: Any) -> bool:
        """Tell whether a source is of this format, from its type or its first bytes, and without reading more."""

    def open(self, source: Any, *, axes: str | None, level: int, series: int | str) -> Image:
        """Open a source that the reader recognises, without reading pixels. See `napari_restore.api.open_image`."""


def begins_with(source: Any, *marks: bytes) -> bool:
    """Tell whether a source is a file that begins with one of some bytes.

    Raises
    ------
    OSError
        If it is a file that cannot be read.
    """
    if not isinstance(source, str) or not Path(source).is_file():
        return False
    with Path(source).open("rb") as file:
        return file.read(max(map(len, marks))).startswith(marks)


def pixel_sizes(given: Mapping[str, Any]) -> tuple[dict[str, float], tuple[str, ...]]:
    """Return the pixel sizes that a source tells, and a sentence for each that no pixel can have.

    Parameters
    ----------
    given : mapping of str to object
        Numbers, or what a file has in their place, by axis; None where it says nothing.

    Returns
    -------
    sizes : dict of str to float
        Those that are finite and not zero, with their sign: positions may fall along an axis.
    notes : tuple of str
        For `napari_restore.images.image.Image`.

    Examples
    --------
    >>> pixel_sizes({"Z": -0.5, "Y": "0.1", "X": 0})
    ({'Z': -0.5, 'Y': 0.1}, ('The source gives the pixel size 0 along X, which none can have; it is unknown.',))
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
            notes.append(f"The source gives the pixel size {value} along {axis}, which none can have; it is unknown.")
    return sizes, tuple(notes)


def check_level(level: int, count: int, place: str, way_out: str = "") -> None:
    """Raise SourceError if there is no such level.

    Parameters
    ----------
    level : int
        Number of the level, 0 being the largest.
    count : int
        How many levels there are.
    place : str
        What to call the source.
    way_out : str
        What to do instead.
    """
    if not 0 <= level < count:
        raise SourceError(
            f"level {level} is not in {place}: it has {count}, counted from 0{way_out and '; '}{way_out}."
        )


def series_number(series: int | str, names: Sequence[str], place: str, way_out: str = "") -> int:
    """Return the number of one image of several.

    Parameters
    ----------
    series : int or str
        Its number, counted from 0, or its name.
    names : sequence of str
        The names of all images; an empty string for one without.
    place : str
        What to call the source.
    way_out : str
        What to do instead.

    Returns
    -------
    int
        Its number. A name that is a number counts as a name first.

    Raises
    ------
    SourceError
        If there is no such image, or several have that name.

    Examples
    --------
    >>> series_number("left", ["left", "right"], "cells.lif")
    0
    """
    numbers = [number for number, name in enumerate(names) if name and name == series]
    if len(numbers) > 1:
        raise SourceError(f"{place} has several series {series!r}; choose one by its number, such as {numbers[0]}.")
    if numbers:
        return numbers[0]
    number = int(series) if isinstance(series, int) or series.isdecimal() else -1
    if 0 <= number < len(names):
        return number
    listed = ", ".join(f"{n} {name!r}" for n, name in enumerate(names[:_LISTED]) if name)
    listed += ", ..." if listed and len(names) > _LISTED else ""
    raise SourceError(
        f"series {series!r} is not in {place}: it has {len(names)}, counted from 0"
        f"{f' ({listed})' if listed else ''}{f'; {way_out}' if way_out else ''}."
    )
