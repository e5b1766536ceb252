"""Convert and check the values of settings.

Each function takes a value as the user gave it and returns the value that a recipe stores. It raises ValueError, with
the rule and the way out, if the value is not allowed.
"""

from __future__ import annotations

__all__ = [
    "broadcast",
    "checked_cameras",
    "checked_fill",
    "checked_pairs",
    "data_type",
    "fill_lists",
    "limits",
    "list_of_one",
    "named_neighbours",
    "open_intensity",
    "path_as_text",
    "size_in_bytes",
]

from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from napari_restore.engine.planning.settings.neighbours import parse_neighbours
from napari_restore.errors import RecipeError, fault_of
from napari_restore.wording import byte_count

Item = TypeVar("Item")


def size_in_bytes(value: Any) -> Any:
    """Convert a text such as ``"8GB"`` to a number of bytes."""
    return byte_count(value) if isinstance(value, str) else value


def open_intensity(value: Any) -> Any:
    """Convert ``"auto"`` to None, which leaves the setting open."""
    return None if value == "auto" else value


def path_as_text(value: Any) -> Any:
    """Convert a path to text."""
    return str(value) if isinstance(value, Path) else value


def named_neighbours(value: Any) -> Any:
    """Parse a text such as ``"T,3"``."""
    try:
        return parse_neighbours(value) if isinstance(value, str) else value
    except RecipeError as error:
        raise ValueError(fault_of(error).removesuffix(".")) from None


def list_of_one(value: Any) -> Any:
    """Convert one pair or triple to a list of one."""
    if value is not None and len(value) and all(np.isscalar(item) for item in value):
        return (tuple(value),)
    return value


def limits(value: Any) -> Any:
    """Convert one or several pairs of limits; ``"all"`` and infinite limits become an empty tuple."""
    if isinstance(value, str) and value == "all":
        return ()
    pairs = list_of_one(value)
    return () if pairs and all(tuple(pair) == (-np.inf, np.inf) for pair in pairs) else pairs


def fill_lists(value: Any) -> Any:
    """Convert fill values: one, several, or several per channel; ``"none"`` becomes an empty tuple."""
    if isinstance(value, str) and value == "none":
        return ()
    return ((value,),) if value is not None and np.isscalar(value) else list_of_one(value)


def checked_fill(value: tuple[tuple[float, ...], ...] | None) -> tuple[tuple[float, ...], ...] | None:
    """Check that the values of missing pixels are finite."""
    for number in (number for channel in value or () for number in channel):
        if not np.isfinite(number):
            raise ValueError(f"value {number}: NaN and infinity are always missing pixels; leave them out")
    return value


def checked_pairs(value: tuple[tuple[float, float], ...] | None) -> tuple[tuple[float, float], ...] | None:
    """Check that both values of each pair are finite and the first is less than the second."""
    for low, high in value or ():
        if not (np.isfinite(low) and np.isfinite(high) and low < high):
            raise ValueError(f"value range {low}..{high}: the first must be less than the second, both finite")
    return value


def checked_cameras(value: tuple[tuple[float, float, float], ...] | None) -> Any:
    """Check that each triple is the noise of a camera."""
    if not value:
        return value
    # Imported here, as a dock widget makes recipes when it opens, and would wait for scipy.
    from napari_restore.intensity.stabilise import CameraNoise

    for camera in value:
        try:
            CameraNoise(*camera)
        except RecipeError as error:
            raise ValueError(fault_of(error).removesuffix(".")) from None
    return value


def data_type(value: Any) -> str:
    """Return the name of a data type; ``"same"`` for None."""
    if value in (None, "same"):
        return "same"
    try:
        dtype = np.dtype(value)
    except TypeError as error:
        raise ValueError(f"dtype {value!r} is unknown; use 'same', 'uint16', 'float32', ...") from error
    if dtype.kind not in "uif":
        raise ValueError(f"dtype {dtype} cannot hold an image; use 'same', 'uint16', 'float32', ...")
    return str(dtype.name)


def broadcast(values: tuple[Item, ...], count: int) -> tuple[Item, ...]:
    """Broadcast one value, or one per channel, to `count` channels.

    Parameters
    ----------
    values : tuple
        One value, or `count` values.
    count : int
        Number of channels.

    Examples
    --------
    >>> broadcast(((0, 255),), 2), broadcast(((0, 255), (0, 9)), 2)
    (((0, 255), (0, 255)), ((0, 255), (0, 9)))
    """
    return values * count if len(values) == 1 else values
