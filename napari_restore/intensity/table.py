"""Apply an elementwise function to integers of up to 16 bits through a table of its values."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["by_table"]

_AT_ONCE = 2**15
"""Pixels that are looked up at a time; their indices stay in the processor's cache."""
_TABLES = 64
"""Number of tables that are kept: one per channel and data type, of 256 kB at most."""

Settings = TypeVar("Settings", bound=Hashable)
Function = Callable[[Settings, npt.NDArray[Any]], npt.NDArray[np.float32]]


def by_table(function: Function[Settings], settings: Settings, x: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Apply an elementwise function.

    Parameters
    ----------
    function : callable
        Takes `settings` and an array of the data type of `x`, and returns float32 of the same shape.
    settings : hashable
        First argument of the function; with equal settings, it has equal values.
    x : numpy.ndarray
        Values, any shape and data type.

    Returns
    -------
    numpy.ndarray
        ``function(settings, x)``. For many integers of up to 16 bits it is looked up, which takes less than half of the
        time of two operations in float64.

    Examples
    --------
    >>> def part(by, x):
    ...     return (x / by).astype(np.float32)
    >>> x = np.arange(-70000, 70000).astype(np.int16)
    >>> bool((by_table(part, 3, x) == part(3, x)).all())
    True
    """
    if x.dtype.kind not in "ui" or x.dtype.itemsize > 2 or x.size <= 2 ** (8 * x.dtype.itemsize):
        return function(settings, x)
    table = _table(function, settings, x.dtype)
    result = np.empty(x.shape, np.float32)
    width = x.shape[-1]
    rows, values = x.reshape(-1, width).view(_unsigned(x.dtype)), result.reshape(-1, width)
    at_once = max(1, _AT_ONCE // width)
    indices = np.empty((at_once, width), np.intp)
    for first in range(0, len(rows), at_once):
        part = rows[first : first + at_once]
        index = indices[: len(part)]
        index[...] = part
        np.take(table, index, out=values[first : first + at_once], mode="clip")  # without "clip", out is buffered
    return result


@lru_cache(maxsize=_TABLES)
def _table(function: Function[Settings], settings: Settings, dtype: np.dtype[Any]) -> npt.NDArray[np.float32]:
    unsigned = _unsigned(dtype)
    return function(settings, np.arange(np.iinfo(unsigned).max + 1).astype(unsigned).view(dtype))


def _unsigned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return np.dtype(f"{dtype.byteorder if dtype.itemsize > 1 else ''}u{dtype.itemsize}")
