"""Average neighbouring planes into the planes of a region where they agree.

An averaged plane depends on its own pixels, on the pixels of its neighbours within `REACH`, and on the samples by which
pairs of planes are compared. None of these depends on the block, so blocks compute equal values for pixels that they
share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.compute.fusion_counts import FusionCounts
from napari_restore.engine.planning.choices.neighbours import fusion_noises
from napari_restore.engine.planning.memory import FUSED_ROWS, neighbour_axes
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.reading import Filled, RetryingImage
from napari_restore.images.lazy_arrays import Region
from napari_restore.intensity.fusion import REACH, STEP, Fused, FusionNoise, Missing, Neighbour, fuse
from napari_restore.intensity.plane_pairs import Pair, PlaneSample, compare, sample_regions, summarise

__all__ = ["FusedPlanes", "fusion_window", "neighbour_weights"]

Outer = tuple[int, ...]
Window = tuple[tuple[int, int], tuple[int, int]]


def fusion_window(window: Window, plane: tuple[int, int]) -> Window:
    """Return the rows and columns of the source that the fused pixels of a window depend on."""
    (y0, y1), (x0, x1) = (
        (max(0, (low - REACH) // STEP * STEP), min(length, -(-(high + REACH) // STEP) * STEP))
        for (low, high), length in zip(window, plane, strict=True)
    )
    return (y0, y1), (x0, x1)


def neighbour_weights(plan: Plan, region: Region) -> NDArray[np.float32]:
    """Compute the mean weight of the neighbours at each pixel of a region of the source.

    Parameters
    ----------
    plan : Plan
        The run.
    region : tuple of slice
        One slice per axis in canonical order, in pixels of the source.

    Returns
    -------
    numpy.ndarray
        Weights in [0, 1], in canonical order without axis S, over which the mean is taken; 0 if the plan averages no
        planes.
    """
    where = dict(zip(plan.axes, region, strict=True))
    outer = [axis for axis in plan.axes if axis not in "YXS"]
    shape = tuple(where[axis].stop - where[axis].start for axis in (*outer, "Y", "X"))
    result = np.zeros(shape, np.float32)
    if not plan.fuses:
        return result
    together = plan.card.in_channels > 1 and plan.repeats == 1
    samples: list[dict[str, int]] = [{}]
    if "S" in where and not together:
        samples = [{"S": k} for k in range(where["S"].start, where["S"].stop)]
    planes = FusedPlanes(plan, where)
    for at in np.ndindex(shape[:-2]):
        index = {axis: where[axis].start + k for axis, k in zip(outer, at, strict=True)}
        channel = index.get("C", 0)
        scale = plan.scales[channel if len(plan.scales) > 1 else 0]
        valid = plan.validity[channel if len(plan.validity) > 1 else 0]
        missing = partial(valid.missing, limits=scale.limits)
        result[at] = np.mean([planes.weights(index | sample, missing) for sample in samples], axis=0)
    return result


class FusedPlanes:
    """The planes of a region, with their neighbours averaged in.

    Parameters
    ----------
    plan : Plan
        The run, whose image is read.
    where : dict of str to slice
        Region of the source, one slice per axis. Its Y and X include the halo of the tiles.
    counted : (slice, slice), optional
        Rows and columns of the source that `counts` counts: those of the block without the halo. By default all rows
        and columns of the region.

    Attributes
    ----------
    counts : FusionCounts
        Statistics of the planes that were fused.
    """

    def __init__(self, plan: Plan, where: dict[str, slice], counted: tuple[slice, slice] | None = None) -> None:
        assert plan.recipe.neighbours is not None
        self.plan, self.where, self.neighbours = plan, where, plan.recipe.neighbours
        self.axes, self.sizes = plan.axes, plan.image.sizes
        self.noises = fusion_noises(self.neighbours)
        inner = tuple((where[axis].start, where[axis].stop) for axis in "YX")
        self.rows, self.columns = fusion_window((inner[0], inner[1]), plan.grid.shape)
        self.pixels = {axis: self._read_along(axis) for axis in neighbour_axes(plan.image, plan.recipe)}
        self._samples: dict[tuple[tuple[str, int], ...], PlaneSample] = {}
        self.counted, self.counts = counted or (where["Y"], where["X"]), FusionCounts()

    def _read_along(self, axis: str) -> _Slab:
        """Read the region with its neighbours along an axis."""
        near = self.where[axis]
        low, high = max(0, near.start - self.neighbours.along(axis)), near.stop + self.neighbours.along(axis)
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
        y, x = self.where["Y"], self.where["X"]
        middle = next(iter(self.pixels.values())).plane(index)
        result = np.empty((len(middle), y.stop - y.start, x.stop - x.start), np.result_type(middle.dtype, np.float32))
        for rows, inner, fused, _ in self._fused(index, missing):
            result[:, rows] = fused.values[:, inner[0], inner[1]]
        return result

    def weights(self, index: dict[str, int], missing: Missing) -> NDArray[np.float32]:
        """Compute the mean weight of the neighbours at each pixel of one plane.

        Parameters
        ----------
        index, missing
            As for `plane`.

        Returns
        -------
        numpy.ndarray
            ``(height, width)``, in [0, 1]; planes that are left out have weight 0.
        """
        y, x = self.where["Y"], self.where["X"]
        result = np.zeros((y.stop - y.start, x.stop - x.start), np.float32)
        for rows, inner, fused, existing in self._fused(index, missing):
            result[rows] = (fused.planes[inner] - 1) / max(existing, 1)
        return result

    def _fused(
        self, index: dict[str, int], missing: Missing
    ) -> Iterator[tuple[slice, tuple[slice, slice], Fused, int]]:
        """Fuse a plane, some rows at a time, and count what was done.

        Yields
        ------
        rows : slice
            The rows, in the region.
        inner : (slice, slice)
            Rows and columns of the region in the fused part.
        fused : Fused
            The fused part, which is larger.
        existing : int
            Number of neighbours, including those that are left out.
        """
        noise = self.noises[index.get("C", 0) if len(self.noises) > 1 else 0]
        near = list(self._near(index, missing, noise))
        middle = next(iter(self.pixels.values())).plane(index)
        (y0, y1), x = (self.where["Y"].start, self.where["Y"].stop), self.where["X"]
        for first in range(y0, y1, FUSED_ROWS):
            last = min(first + FUSED_ROWS, y1)
            (top, bottom), (left, _) = fusion_window(((first, last), (x.start, x.stop)), self.plan.grid.shape)
            cut = (slice(None), slice(top - self.rows[0], bottom - self.rows[0]))
            others = [Neighbour(pixels[cut], pair.gain, pair.offset) for _, pixels, pair in near if not pair.reason]
            counted = (_within(self.counted[0], first, last, top), _within(self.counted[1], x.start, x.stop, left))
            fused = fuse(middle[cut], others, noise, strength=self.neighbours.strength, missing=missing, inner=counted)
            self._count(fused, counted, [name for name, _, pair in near if not pair.reason])
            inner = (slice(first - top, last - top), slice(x.start - left, x.stop - left))
            yield slice(first - y0, last - y0), inner, fused, len(near)

    def _count(self, fused: Fused, inner: tuple[slice, slice], names: list[str]) -> None:
        """Count weights and noise of the rows and columns `inner` of a fused part of a plane."""
        noise = fused.noise[inner]
        if not noise.size:
            return
        self.counts.add_noise(noise)
        for name, weight in zip(names, fused.weights, strict=True):
            self.counts.add_weight(name, weight * noise.size, noise.size)

    def _near(
        self, index: dict[str, int], missing: Missing, noise: FusionNoise
    ) -> Iterator[tuple[str, NDArray[Any], Pair]]:
        """Yield the neighbours of a plane: axis and step, pixels, and relation to the plane. Count those left out."""
        for axis, slab in self.pixels.items():
            here, sides = index[axis], self.neighbours.along(axis)
            for k in range(here - sides, here + sides + 1):
                if k == here or not 0 <= k < self.sizes[axis]:
                    continue
                there, name = index | {axis: k}, f"{axis}{k - here:+d}"
                pair = compare(self._sample(index, missing), self._sample(there, missing), noise)
                yield name, slab.plane(there), pair
                if not pair.reason:
                    continue
                pixels = math.prod(part.stop - part.start for part in self.counted)
                self.counts.add_weight(name, 0.0, pixels)
                self.counts.add_left_out(_left_out(index, axis, k, pair.reason))

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


def _within(counted: slice, first: int, last: int, origin: int) -> slice:
    """Return the part of the counted rows or columns between two numbers, counted from an origin."""
    low = max(counted.start, first)
    return slice(low - origin, max(min(counted.stop, last), low) - origin)


def _left_out(index: dict[str, int], axis: str, other: int, reason: str) -> str:
    """Describe a pair of planes that is not averaged, equally from both sides."""
    first, second = sorted((index[axis], other))
    rest = ", ".join(f"{letter} {k}" for letter, k in index.items() if letter != axis)
    return f"{axis} {first} and {second}{f' ({rest})' if rest else ''}: {reason}"


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
