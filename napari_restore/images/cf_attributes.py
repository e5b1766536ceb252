"""Read the attributes of the CF conventions (netCDF, xarray) that say what the values of an array mean."""

from __future__ import annotations

__all__ = ["CF_ATTRIBUTES", "missing_values", "notes_on_packing", "representable"]

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

_MISSING, _PACKED = ("_FillValue", "missing_value"), ("scale_factor", "add_offset")

CF_ATTRIBUTES = _MISSING + _PACKED
"""Names of the attributes that are read."""


def missing_values(attributes: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Return the values that the attributes of an array declare for missing pixels.

    Parameters
    ----------
    attributes : mapping
        Attributes of the array; those with damaged or other content are ignored.
    dtype : numpy.dtype
        Data type of the array.

    Returns
    -------
    tuple of float
        Finite values that an array of this type can contain.

    Examples
    --------
    >>> missing_values({"_FillValue": -9999}, np.dtype("i2")), missing_values({"_FillValue": -9999}, np.dtype("u2"))
    ((-9999.0,), ())
    """
    declared = (np.ravel(np.asarray(attributes[key])).tolist() for key in _MISSING if key in attributes)
    return representable((value for values in declared for value in values), dtype)


def representable(values: Iterable[Any], dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Return the finite numbers among values that an array of a data type can contain, each once."""
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(dtype) if dtype.kind == "f" else None
    numbers = [float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)]
    return tuple(
        dict.fromkeys(
            value
            for value in numbers
            if limits is not None
            and float(limits.min) <= value <= float(limits.max)
            and (dtype.kind == "f" or value.is_integer())
        )
    )


def notes_on_packing(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note if the values stand for others, by a factor and an offset; an empty tuple otherwise."""
    packed = [f"{key} {attributes[key]}" for key in _PACKED if key in attributes]
    if not packed:
        return ()
    return (
        f"The attributes say that the values are packed ({', '.join(packed)}); they are restored as they are stored, "
        "and the result does not have these attributes.",
    )
