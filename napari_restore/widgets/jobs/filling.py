"""Show a result that is being computed: pixels that are not restored yet are transparent."""

from __future__ import annotations

__all__ = ["FillingView", "StoredMask", "final_pixels"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.widgets.jobs.layers.stored_view import StoredView


class StoredMask:
    """Which pixels of an array are stored, as a lazy array of bool with one value for each write unit.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    unit : sequence of int
        Shape of a write unit.

    Attributes
    ----------
    units : ndarray of bool
        Whether each write unit is stored. Worker threads replace or set its values.
    """

    dtype = np.dtype(bool)

    def __init__(self, shape: Sequence[int], unit: Sequence[int]) -> None:
        self.shape, self._unit = tuple(shape), tuple(unit)
        self.units = np.zeros([-(-n // size) for n, size in zip(self.shape, self._unit, strict=True)], bool)

    def __getitem__(self, key: tuple[slice | int, ...]) -> NDArray[np.bool_]:
        found = self.units
        for axis in reversed(range(len(key))):  # an integer drops its axis
            found = found.take(np.arange(self.shape[axis])[key[axis]] // self._unit[axis], axis)
        return np.asarray(found)


class FillingView:
    """A lazy view of a result that is being computed.

    Its pixels are floating-point numbers, NaN where nothing is restored yet, which napari draws transparent. Colour
    pixels keep their data type and get a fourth sample, their opacity.

    Parameters
    ----------
    pixels : StoredView
        The result.
    mask : StoredView
        Of the same shape: whether each pixel is restored.
    colour : int or None
        The axis of the colour samples; None: there are none.
    """

    def __init__(self, pixels: StoredView, mask: StoredView, colour: int | None = None) -> None:
        self.pixels, self._mask, self._colour = pixels, mask, colour
        self.shape = pixels.shape if colour is None else (*pixels.shape[:-1], pixels.shape[-1] + 1)
        self.ndim, self.size = len(self.shape), int(np.prod(self.shape))
        exact = np.result_type(pixels.dtype, np.float32)
        self.dtype = pixels.dtype if colour is not None else exact

    @classmethod
    def of(cls, array: Any, mask: StoredMask, axes: str) -> FillingView:
        """Return a view of an array in canonical order.

        Parameters
        ----------
        array : array-like
            A level of the result.
        mask : StoredMask
            Which of its pixels are stored.
        axes : str
            Its axes, letters of TCZYXS.
        """
        pixels = array if isinstance(array, StoredView) else StoredView(array)
        return cls(pixels, StoredView(mask), axes.index("S") if "S" in axes else None)

    def transpose(self, order: Sequence[int]) -> FillingView:
        """Return a view with its axes in another order; colour samples have to be the last axis."""
        colour = None if self._colour is None else list(order).index(self._colour)
        return FillingView(self.pixels.transpose(order), self._mask.transpose(order), colour)

    def at(self, axis: int, index: int) -> FillingView:
        """Return a view of one position along an axis, without that axis."""
        return FillingView(self.pixels.at(axis, index), self._mask.at(axis, index))

    def only(self, axis: int, index: int) -> FillingView:
        """Return a view of one position along an axis, which is kept with length 1."""
        return FillingView(self.pixels.only(axis, index), self._mask.only(axis, index))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if self._colour is not None:
            return self._with_opacity()[key] if _selects_samples(key, self.ndim) else self._with_opacity(key)
        stored = self._mask[key]  # first: what is stored in between is shown the next time
        pixels = self.pixels[key].astype(self.dtype)
        return np.asarray(np.where(stored, pixels, np.nan), self.dtype)

    def _with_opacity(self, key: Any = ...) -> NDArray[Any]:
        stored = self._mask[key][..., :1]
        pixels = self.pixels[key]
        opaque = np.iinfo(self.dtype).max if self.dtype.kind in "ui" else 1
        return np.concatenate([pixels, np.where(stored, opaque, 0).astype(self.dtype)], axis=-1)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        pixels = self[...]
        return pixels if dtype is None else pixels.astype(dtype)


def _selects_samples(key: Any, ndim: int) -> bool:
    """Return whether an index selects some of the colour samples."""
    given = key if isinstance(key, tuple) else (key,)
    last = given[-1] if len(given) == ndim else slice(None)
    return not (isinstance(last, slice) and last == slice(None)) and last is not Ellipsis


def final_pixels(data: Any) -> Any:
    """Return the pixels of a layer's data without their transparency: an array in memory, or a view of the output."""
    if not isinstance(data, FillingView):
        return data
    return data.pixels.in_memory()
