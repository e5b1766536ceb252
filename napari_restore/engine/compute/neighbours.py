"""Neighbouring planes of a block: read by the block itself, and averaged into its planes where they agree.

What a plane becomes depends on its own pixels, on those of its neighbours within `REACH`, and on the samples by which
each pair of planes is compared. None of it depends on the block, so blocks agree on the pixels that they share.
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
from napari_restore.engine.planning.reading import Filled, PatientImage
from napari_restore.intensity.fusion import REACH, STEP, Missing, Neighbour, fuse
from napari_restore.intensity.plane_pairs import PlaneSample, compare, sample_places, summarise

__all__ = ["FusedPlanes", "fusion_window"]

Outer = tuple[int, ...]
Window = tuple[tuple[int, int], tuple[int, int]]


def fusion_window(window: Window, plane: tuple[int, int]) -> Window:
    """Rows and columns of the source that the fused pixels of a window are made of."""
    (y0, y1), (x0, x1) = (
        (max(0, (low - REACH) // STEP * STEP), min(length, -(-(high + REACH) // STEP) * STEP))
        for (low, high), length in zip(window, plane, strict=True)
    )
    return (y0, y1), (x0, x1)


class FusedPlanes:
    """Planes of a region, each with its neighbours averaged in.

    Parameters
    ----------
    plan
        The run, whose image is read.
    where
        The region of the source: a slice for each axis, of Y and X what the tiles need.
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
        """Read the region with its neighbours along an axis, and know what of them could not be read."""
        near = self.where[axis]
        low, high = max(0, near.start - self.neighbours.planes), near.stop + self.neighbours.planes
        region = self.where | {
            axis: slice(low, min(high, self.sizes[axis])), "Y": slice(*self.rows), "X": slice(*self.columns)
        }  # fmt: skip
        return _Slab(self.plan.image, tuple(region[a] for a in self.axes))

    def own(self) -> NDArray[Any]:
        """The pixels of the region itself, as they were read."""
        slab = next(iter(self.pixels.values()))
        inside = tuple(
            slice(self.where[axis].start - read.start, self.where[axis].stop - read.start)
            for axis, read in zip(self.axes, slab.region, strict=True)
        )
        own: NDArray[Any] = slab.pixels[inside]
        return own

    def plane(self, place: dict[str, int], missing: Missing) -> NDArray[Any]:
        """Fuse one plane.

        Parameters
        ----------
        place
            Index of the plane along T, C, Z and, where they are restored one by one, S: in the whole image.
        missing
            Tells which pixels of a plane are no image.

        Returns
        -------
        numpy.ndarray
            ``(samples, height, width)`` of the region's rows and columns.
        """
        near = list(self._near(place, missing))
        middle = next(iter(self.pixels.values())).plane(place)
        noise = self.noises[place.get("C", 0) if len(self.noises) > 1 else 0]
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

    def _near(self, place: dict[str, int], missing: Missing) -> Iterator[tuple[NDArray[Any], float, float]]:
        """The planes that may be averaged with a plane, and their brightness beside it."""
        noise = self.noises[place.get("C", 0) if len(self.noises) > 1 else 0]
        for axis, slab in self.pixels.items():
            here = place[axis]
            for k in range(here - self.neighbours.planes, here + self.neighbours.planes + 1):
                if k == here or not 0 <= k < self.sizes[axis]:
                    continue
                there = place | {axis: k}
                pair = compare(self._sample(place, missing), self._sample(there, missing), noise)
                if not pair.reason:
                    yield slab.plane(there), pair.gain, pair.offset

    def _sample(self, place: dict[str, int], missing: Missing) -> PlaneSample:
        """Read what a whole plane is summarised by, wherever the region lies in it."""
        key = tuple(sorted(place.items()))
        if key not in self._samples:
            crops = []
            for rows, columns in sample_places(*self.plan.grid.shape):
                at = {axis: slice(index, index + 1) for axis, index in place.items()} | {"Y": rows, "X": columns}
                region = tuple(at.get(axis, self.where[axis]) for axis in self.axes)
                slab = _Slab(self.plan.image, region)
                crops += list(slab.plane(place))
            self._samples[key] = summarise(crops, missing)
        return self._samples[key]


class _Slab:
    """A region of the source in memory, and what of it could not be read and was filled."""

    def __init__(self, image: Any, region: tuple[slice, ...]) -> None:
        self.axes, self.region = image.canonical, region
        before = len(image.filled) if isinstance(image, PatientImage) else 0
        self.pixels = image.read(region)
        self.filled: list[Filled] = image.filled[before:] if isinstance(image, PatientImage) else []

    def plane(self, place: dict[str, int]) -> NDArray[Any]:
        """One plane of it, ``(samples, height, width)``, by its place in the whole image; NaN where it was filled."""
        index: list[Any] = [slice(None)] * len(self.axes)
        for axis, k in place.items():
            at = self.axes.index(axis)
            index[at] = k - self.region[at].start
        plane = self.pixels[tuple(index)]
        for part in self.filled:
            parts = dict(zip(self.axes, part.region, strict=True))
            if not all(parts[axis].start <= k < parts[axis].stop for axis, k in place.items()):
                continue
            if plane.base is not None:
                plane = plane.astype(np.result_type(plane.dtype, np.float32))
            rest = [
                slice(p.start - r.start, p.stop - r.start)
                for axis, p, r in zip(self.axes, part.region, self.region, strict=True)
                if axis not in place
            ]
            plane[tuple(rest)] = math.nan
        return np.moveaxis(plane, -1, 0) if plane.ndim > 2 else plane[None]
