"""Average neighbouring planes into the planes of a region where they agree.

An averaged plane depends on its own pixels, on the pixels of its neighbours within `REACH`, and on the samples by which
pairs of planes are compared. None of these depends on the block, so blocks compute equal values for pixels that they
share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.memory import FUSED_ROWS, neighbour_axes
from napari_restore.engine.planning.neighbour_choice import fusion_noises
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.reading import Filled, RetryingImage
from napari_restore.intensity.fusion import REACH, STEP, Missing, Neighbour, fuse
from napari_restore.intensity.plane_pairs import PlaneSample, compare, sample_regions, summarise

__all__ = ["FusedPlanes", "fusion_window"]

Outer = tuple[int, ...]
Window = tuple[tuple[int, int], tuple[int, int]]


def fusion_window(window: Window, plane: tuple[int, int]) -> Window:
    """Return the rows and columns of the source that the fused pixels of a window depend on."""
    (y0, y1), (x0, x1) = (
        (max(0, (low - REACH) // STEP * STEP), min(length, -(-(high + REACH) // STEP) * STEP))
        for (low, high), length in zip(window, plane, strict=True)
    )
    return (y0, y1), (x0, x1)


class FusedPlanes:
    """The planes of a region, with their neighbours averaged in.

    Parameters
    ----------
    plan : Plan
        The run, whose image is read.
    where : dict of str to slice
        Region of the source, one slice per axis. Its Y and X include the halo of the tiles.
    """

    def __init__(self, plan: Plan, where: dict[str, slice]) -> None:
        assert plan.recipe.neighbours is not None
        self.plan, self.where, self.neighbours = plan, where, plan.recipe.neighbours
        self.axes, self.sizes = plan.axes, plan.image.sizes
        self.noises = fusion_noises(self.neighbours)
        inner = tuple((where[axis].start, where[axis].stop) for axis in "YX")
        self.rows, self.columns = fusion_window((inner[0], inner[1]), plan.grid.shape)
        self.pixels = {axis: self._read_along(axis) for axis in neighbour_axes(plan.image, plan.recipe)}
        self._samples: dict[tuple[tuple[str, int], ...], PlaneSample] = {}

    def _read_along(self, axis: str) -> _Slab:
        """Read the region with its neighbours along an axis."""
        near = self.where[axis]
        low, high = max(0, near.start - self.neighbours.planes), near.stop + self.neighbours.planes
        region = self.where | {
            axis: slice(low, min(high, self.sizes[axis])), "Y": slice(*self.rows), "X": slice(*self.columns)
        }  # fmt: skip
        return _Slab(self.plan.image, tuple(region[a] for a in self.axes))

    def own(self) -> NDArray[Any]:
        """Return the source pixels of the region, without neighbours."""
        slab = next(iter(self.pixels.values()))
        inside = tuple(
            slice(self.where[axis].start - read.start, self.where[axis].stop - read.start)
            for axis, read in zip(self.axes, slab.region, strict=True)
        )
        own: NDArray[Any] = slab.pixels[inside]
        return own

    def plane(self, index: dict[str, int], missing: Missing) -> NDArray[Any]:
        """Fuse one plane.

        Parameters
        ----------
        index : dict of str to int
            Index of the plane in the whole image, along T, C, Z and, if samples are restored one by one, S.
        missing : callable
            Returns the mask of a plane's missing pixels, or None.

        Returns
        -------
        numpy.ndarray
            ``(samples, height, width)``, the rows and columns of the region.
        """
        near = list(self._near(index, missing))
        middle = next(iter(self.pixels.values())).plane(index)
        noise = self.noises[index.get("C", 0) if len(self.noises) > 1 else 0]
        (y0, y1), x = (self.where["Y"].start, self.where["Y"].stop), self.where["X"]
        result = np.empty((len(middle), y1 - y0, x.stop - x.start), np.result_type(middle.dtype, np.float32))
        for first in range(y0, y1, FUSED_ROWS):
            last = min(first + FUSED_ROWS, y1)
            (top, bottom), (left, _) = fusion_window(((first, last), (x.start, x.stop)), self.plan.grid.shape)
            cut = (slice(None), slice(top - self.rows[0], bottom - self.rows[0]))
            others = [Neighbour(pixels[cut], gain, offset) for pixels, gain, offset in near]
            fused = fuse(middle[cut], others, noise, strength=self.neighbours.strength, missing=missing)
            result[:, first - y0 : last - y0] = fused.values[
                :, first - top : last - top, x.start - left : x.stop - left
            ]
        return result

    def _near(self, index: dict[str, int], missing: Missing) -> Iterator[tuple[NDArray[Any], float, float]]:
        """Yield the neighbours that agree with a plane, each with its gain and offset relative to that plane."""
        noise = self.noises[index.get("C", 0) if len(self.noises) > 1 else 0]
        for axis, slab in self.pixels.items():
            here = index[axis]
            for k in range(here - self.neighbours.planes, here + self.neighbours.planes + 1):
                if k == here or not 0 <= k < self.sizes[axis]:
                    continue
                there = index | {axis: k}
                pair = compare(self._sample(index, missing), self._sample(there, missing), noise)
                if not pair.reason:
                    yield slab.plane(there), pair.gain, pair.offset

    def _sample(self, index: dict[str, int], missing: Missing) -> PlaneSample:
        """Read and summarise the sample of a plane. It is the same for every region of that plane."""
        key = tuple(sorted(index.items()))
        if key not in self._samples:
            crops = []
            for rows, columns in sample_regions(*self.plan.grid.shape):
                at = {axis: slice(k, k + 1) for axis, k in index.items()} | {"Y": rows, "X": columns}
                region = tuple(at.get(axis, self.where[axis]) for axis in self.axes)
                slab = _Slab(self.plan.image, region)
                crops += list(slab.plane(index))
            self._samples[key] = summarise(crops, missing)
        return self._samples[key]


class _Slab:
    """A region of the source in memory, with a list of its filled parts."""

    def __init__(self, image: Any, region: tuple[slice, ...]) -> None:
        self.axes, self.region = image.canonical, region
        before = len(image.filled) if isinstance(image, RetryingImage) else 0
        self.pixels = image.read(region)
        self.filled: list[Filled] = image.filled[before:] if isinstance(image, RetryingImage) else []

    def plane(self, index: dict[str, int]) -> NDArray[Any]:
        """Return a plane, ``(samples, height, width)``, by its index in the whole image; NaN where it was filled."""
        selection: list[Any] = [slice(None)] * len(self.axes)
        for axis, k in index.items():
            at = self.axes.index(axis)
            selection[at] = k - self.region[at].start
        plane = self.pixels[tuple(selection)]
        for part in self.filled:
            parts = dict(zip(self.axes, part.region, strict=True))
            if not all(parts[axis].start <= k < parts[axis].stop for axis, k in index.items()):
                continue
            if plane.base is not None:
                plane = plane.astype(np.result_type(plane.dtype, np.float32))
            rest = [
                slice(p.start - r.start, p.stop - r.start)
                for axis, p, r in zip(self.axes, part.region, self.region, strict=True)
                if axis not in index
            ]
            plane[tuple(rest)] = math.nan
        return np.moveaxis(plane, -1, 0) if plane.ndim > 2 else plane[None]
