"""Show a stored array in a layer: with reordered axes, one channel of several, and read again at each access."""

from __future__ import annotations

__all__ = ["StoredView"]

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = int | slice


class StoredView:
    """A lazy view of a Zarr array that reads at each indexing, without a cache.

    A dask array takes hundreds of milliseconds of the main thread, for the import of its schedulers and for the graph
    of each slice. napari also caches its chunks, which are out of date while the result fills in.

    Parameters
    ----------
    array : array-like
        Anything with shape, dtype and basic indexing.
    axes : sequence of int, optional
        The axis of `array` for each axis of the view; by default all, in order.
    fixed : dict of int to int, optional
        Index along each axis of `array` that the view drops, or keeps with length 1.
    """

    def __init__(self, array: Any, axes: Sequence[int] | None = None, fixed: dict[int, int] | None = None) -> None:
        self._array, self._fixed = array, dict(fixed or {})
        self._axes = tuple(range(len(array.shape)) if axes is None else axes)
        self.shape: tuple[int, ...] = tuple(1 if axis in self._fixed else int(array.shape[axis]) for axis in self._axes)
        self.ndim, self.dtype = len(self.shape), np.dtype(array.dtype)
        self.size = int(np.prod(self.shape))

    def transpose(self, order: Sequence[int]) -> StoredView:
        """Return a view with its axes in another order."""
        return StoredView(self._array, [self._axes[i] for i in order], self._fixed)

    def at(self, axis: int, index: int) -> StoredView:
        """Return a view of one position along an axis, without that axis."""
        rest = self._axes[:axis] + self._axes[axis + 1 :]
        return StoredView(self._array, rest, {**self._fixed, self._axes[axis]: index})

    def only(self, axis: int, index: int) -> StoredView:
        """Return a view of one position along an axis, which is kept with length 1."""
        return StoredView(self._array, self._axes, {**self._fixed, self._axes[axis]: index})

    def in_memory(self) -> Any:
        """Return a NumPy view if the array is in memory, and this view otherwise."""
        if not isinstance(self._array, np.ndarray):
            return self
        fixed = {axis: slice(i, i + 1) if axis in self._axes else i for axis, i in self._fixed.items()}
        pixels = self._array[tuple(fixed.get(axis, slice(None)) for axis in range(self._array.ndim))]
        left = [axis for axis in range(self._array.ndim) if not isinstance(fixed.get(axis), int)]
        return pixels.transpose([left.index(axis) for axis in self._axes])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        wanted = dict(zip(self._axes, self._complete(key), strict=True))
        fixed = {axis: slice(i, i + 1) if axis in wanted else i for axis, i in self._fixed.items()}
        read = wanted | fixed
        pixels = np.asarray(self._array[tuple(read[axis] for axis in range(len(read)))])
        left = [axis for axis in range(len(read)) if isinstance(read[axis], slice)]
        order = [axis for axis in self._axes if axis in left]
        inside = tuple(wanted[axis] if axis in fixed else slice(None) for axis in order)
        return pixels.transpose([left.index(axis) for axis in order])[inside]

    def _complete(self, key: Any) -> list[Index]:
        """Expand an index that may be shorter or have an ellipsis to one entry for each axis."""
        given = list(key) if isinstance(key, tuple) else [key]
        if not any(part is Ellipsis for part in given):
            given.append(Ellipsis)
        gap = next(i for i, part in enumerate(given) if part is Ellipsis)
        given[gap : gap + 1] = [slice(None)] * (self.ndim - len(given) + 1)
        return [part if isinstance(part, slice) else int(part) for part in given]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        pixels = self[...]
        return pixels if dtype is None else pixels.astype(dtype)
