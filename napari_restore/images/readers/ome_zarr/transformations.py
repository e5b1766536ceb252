"""Apply the coordinate transformations of OME-Zarr: compute pixel size and origin of an array."""

from __future__ import annotations

__all__ = ["Placement", "apply"]

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import SourceError

Matrix = NDArray[np.float64]
"""Matrix of homogeneous coordinates, shape (axes + 1, axes + 1)."""
ArrayReader = Callable[[str], NDArray[Any]]
"""Function that reads a small array by its path in the group, for parameters that are stored as an array."""


@dataclass(frozen=True)
class Placement:
    """Position of the pixels of an array, in equal steps along each axis.

    Attributes
    ----------
    scale, translation : tuple of float
        Distance of pixels, and position of the first pixel, along each axis of the array; NaN if unknown.
    notes : tuple of str
        One sentence for each transformation that scale and translation cannot express.
    """

    scale: tuple[float, ...]
    translation: tuple[float, ...]
    notes: tuple[str, ...] = ()


def apply(transformations: Iterable[Mapping[str, Any]], axes: Sequence[str], read_array: ArrayReader) -> Placement:
    """Apply transformations one after the other to the indices of an array.

    Parameters
    ----------
    transformations : iterable of mapping
        Transformations of OME-Zarr 0.4 to 0.6: identity, scale, translation, affine, rotation, mapAxis, byDimension,
        and sequence of these.
    axes : sequence of str
        Name of each axis of the array, for notes.
    read_array : callable
        Function that reads parameters that are stored as an array.

    Returns
    -------
    Placement
        Scale and translation. They are NaN along axes that are rotated or sheared into each other, and along all axes
        if a transformation is of another kind.

    Raises
    ------
    SourceError
        If the parameters of a transformation do not have the shape that the axes need.

    Examples
    --------
    >>> placed = apply([{"type": "scale", "scale": [2, 3]}, {"type": "translation", "translation": [4, 5]}], "YX", None)
    >>> placed.scale, placed.translation
    ((2.0, 3.0), (4.0, 5.0))
    """
    count = len(axes)
    whole = np.eye(count + 1)
    for transformation in transformations:
        matrix = _matrix(transformation, count, read_array)
        if matrix is None:
            unknown = (float("nan"),) * count
            return Placement(unknown, unknown, (_of_another_kind(transformation),))
        whole = _after(matrix, whole)
    linear = whole[:count, :count]
    mixed = (linear != 0) & ~np.eye(count, dtype=bool)
    turned = mixed.any(axis=0) | mixed.any(axis=1)
    scale, translation = (np.where(turned, np.nan, values) for values in (linear.diagonal(), whole[:count, count]))
    notes: tuple[str, ...] = ()
    if turned.any():
        names = ", ".join(axis for axis, is_turned in zip(axes, turned, strict=True) if is_turned)
        notes = (f"The source turns, shears or exchanges the axes {names}; pixel size and origin there are unknown.",)
    return Placement(tuple(scale.tolist()), tuple(translation.tolist()), notes)


def _of_another_kind(transformation: Mapping[str, Any]) -> str:
    return (
        f"The source places its pixels by the transformation {transformation.get('type')!r}, which is no even step "
        "along each axis; pixel size and origin are unknown."
    )


def _matrix(transformation: Mapping[str, Any], count: int, read_array: ArrayReader) -> Matrix | None:
    """Return the matrix of a transformation; None for an unknown kind."""
    kind = transformation.get("type")
    matrix = np.eye(count + 1)
    if kind == "scale":
        np.fill_diagonal(matrix[:count, :count], _numbers(transformation, "scale", (count,), read_array))
    elif kind == "translation":
        matrix[:count, count] = _numbers(transformation, "translation", (count,), read_array)
    elif kind == "affine":
        matrix[:count] = _numbers(transformation, "affine", (count, count + 1), read_array)
    elif kind == "rotation":
        matrix[:count, :count] = _numbers(transformation, "rotation", (count, count), read_array)
    elif kind == "mapAxis":
        order = _numbers(transformation, "mapAxis", (count,), read_array).astype(int)
        matrix[:count, :count] = np.eye(count)[order]
    elif kind == "sequence":
        for inner in transformation.get("transformations") or ():
            one = _matrix(inner, count, read_array)
            if one is None:
                return None
            matrix = _after(one, matrix)
    elif kind == "byDimension":
        return _by_dimension(transformation, count, read_array)
    elif kind != "identity":
        return None
    return matrix


def _after(second: Matrix, first: Matrix) -> Matrix:
    """Return the product of two matrices where 0 times infinity or NaN is 0, so that other axes stay finite."""
    with np.errstate(invalid="ignore"):
        terms = second[:, :, None] * first[None]
    terms[(second[:, :, None] == 0) | (first[None] == 0)] = 0
    product: Matrix = terms.sum(axis=1)
    return product


def _by_dimension(transformation: Mapping[str, Any], count: int, read_array: ArrayReader) -> Matrix | None:
    """Return the matrix of transformations that each apply to some axes, given by number."""
    matrix = np.zeros((count + 1, count + 1))
    matrix[count, count] = 1
    for part in transformation.get("transformations") or ():
        inner = part.get("transformation", part)
        rows, columns = (part.get(name) for name in ("output_axes", "input_axes"))
        if rows is None or columns is None or len(rows) != len(columns):
            return None
        one = _matrix(inner, len(rows), read_array)
        if one is None or not all(isinstance(axis, int) and 0 <= axis < count for axis in (*rows, *columns)):
            return None
        matrix[np.ix_(rows, columns)] = one[:-1, :-1]
        matrix[rows, count] = one[:-1, -1]
    return matrix


def _numbers(
    transformation: Mapping[str, Any], name: str, shape: tuple[int, ...], read_array: ArrayReader
) -> NDArray[np.float64]:
    """Return the parameters of a transformation, which are stored in it or in an array that it names."""
    given = transformation.get(name)
    if given is None and "path" in transformation:
        given = read_array(str(transformation["path"]))
    try:
        numbers = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.shape != shape:
        raise SourceError(
            f"the transformation {name!r} of the source is {given!r}, and its image needs numbers of the shape "
            f"{' x '.join(map(str, shape))}; correct the metadata."
        )
    return numbers
