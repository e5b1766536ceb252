"""Find and read the pixels of a source and its result that are on screen and belong together."""

from __future__ import annotations

__all__ = ["Pair", "Planes", "find_pairs", "find_reference", "tile_borders"]

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import RestoreError
from napari_restore.images.geometry import first_centre
from napari_restore.intensity.scaling import without_infinities
from napari_restore.widgets.jobs.layers.image_layers import full_resolution, translation_of
from napari_restore.widgets.jobs.regions import current_view
from napari_restore.widgets.jobs.results import result_axes
from napari_restore.widgets.jobs.viewport import Viewport

if TYPE_CHECKING:
    from napari_restore.engine.planning.plan import Plan

Where = tuple[slice, ...]


@dataclass(frozen=True)
class Planes:
    """Pixels of source and result that cover the same area.

    Attributes
    ----------
    before, after : ndarray
        Pixels of source and result, ``(h, w)`` or ``(h, w, samples)``. `after` is `factor` times as long along Y and X.
    factor : int
        Pixels of the result for each pixel of the source, along Y and X.
    placed : dict
        Shape and axes, and the keyword arguments of a layer that shows an array like `after` over the result.
    """

    before: NDArray[Any]
    after: NDArray[Any]
    factor: int
    placed: dict[str, Any]

    @property
    def stretched(self) -> NDArray[Any]:
        """`before`, with each pixel repeated to the size of `after`."""
        return self.before.repeat(self.factor, 0).repeat(self.factor, 1)

    @property
    def difference(self) -> NDArray[np.float32]:
        """`before` minus `after`, of the size of `after`; NaN where one is missing."""
        return np.asarray(without_infinities(self.stretched) - without_infinities(self.after), np.float32)


@dataclass(frozen=True)
class Pair:
    """A source and one of its result layers, with the region of each that is on screen.

    Attributes
    ----------
    result : napari.layers.Image
        The result layer.
    before, after : array
        Full-resolution arrays of source and result.
    axes : str
        Axes of `before`; those of `after` are ``result_axes(axes)``.
    where_before, where_after : tuple of slice
        The regions of `before` and `after` on screen.
    factor : int
        Pixels of the result for each pixel of the source, along Y and X.
    """

    result: Any
    before: Any
    after: Any
    axes: str
    where_before: Where
    where_after: Where
    factor: int

    def read(self, *, largest: int | None = None, sparse: bool = False) -> Planes:
        """Read the pixels of both. Call this on a worker thread.

        Parameters
        ----------
        largest : int, optional
            Most source pixels along Y and X. Of a larger region, only the centre is read.
        sparse : bool
            Instead, read every n-th pixel of a larger region.

        Returns
        -------
        Planes
            The pixels.
        """
        kept = result_axes(self.axes)
        spans = {a: self.where_before[self.axes.index(a)] for a in "YX"}
        starts = dict.fromkeys("YX", 0)
        lengths = {a: s.stop - s.start for a, s in spans.items()}
        step = 1
        if largest is not None and max(lengths.values()) > largest:
            if sparse:
                step = -(-max(lengths.values()) // largest)
                lengths = {a: max(step, n // step * step) for a, n in lengths.items()}
            else:
                starts = {a: max(0, n - largest) // 2 for a, n in lengths.items()}
                lengths = {a: min(n, largest) for a, n in lengths.items()}

        def part(where: Where, letters: str, factor: int) -> Where:
            return tuple(
                slice(s.start + starts[a] * factor, s.start + (starts[a] + lengths[a]) * factor, step)
                if a in "YX"
                else s
                for a, s in zip(letters, where, strict=True)
            )

        inside = part(self.where_after, kept, self.factor)
        before = _plane(self.before[part(self.where_before, self.axes, 1)], self.axes)
        after = _plane(self.after[inside], kept)
        # If the step does not divide the length, the result has a pixel more than `factor` times those of the source.
        rows, columns = (min(b, a // self.factor) for b, a in zip(before.shape[:2], after.shape[:2], strict=True))
        before, after = before[:rows, :columns], after[: rows * self.factor, : columns * self.factor]
        return Planes(before, after, self.factor, self._placed(kept, inside, after.shape, step))

    def _placed(self, kept: str, inside: Where, shape: tuple[int, ...], step: int) -> dict[str, Any]:
        layer, spatial = self.result, kept.replace("S", "")
        lengths = {"Y": shape[0], "X": shape[1]}
        steps = np.array([step if a in "YX" else 1 for a in spatial])
        return {
            "shape": tuple(lengths.get(a, 1) for a in spatial) + shape[2:],
            "axes": kept,
            "scale": np.asarray(layer.scale) * steps,
            "rotate": layer.rotate, "shear": layer.shear, "affine": layer.affine,
            "translate": translation_of(layer, [s.start for s in inside[: layer.ndim]]),
            "units": layer.units, "axis_labels": layer.axis_labels,
        }  # fmt: skip


def _plane(pixels: Any, axes: str) -> NDArray[Any]:
    """Reorder the axes of one plane to ``(y, x)`` or ``(y, x, samples)``."""
    array = np.asarray(pixels)
    order = [i for i, a in enumerate(axes) if a not in "YXS"] + [axes.index(a) for a in "YXS" if a in axes]
    array = array.transpose(order)
    return array.reshape(array.shape[-3:] if "S" in axes else array.shape[-2:])


def find_pairs(source: Any, axes: str, results: Sequence[Any], viewport: Viewport) -> list[Pair]:
    """Pair the region of a source that is on screen with each of its result layers.

    Parameters
    ----------
    source : napari.layers.Image
        The layer that was restored.
    axes : str
        One letter of TCZYXS for each axis of its data.
    results : sequence of napari.layers.Image
        Its result layers: one, or one for each channel.
    viewport : Viewport
        What the canvas shows.

    Returns
    -------
    list of Pair
        One for each result layer.

    Raises
    ------
    RestoreError
        If no part of the source or of the result is on screen.
    """
    view = current_view(source, axes, viewport)
    kept = [i for i, a in enumerate(axes) if a in result_axes(axes) and a != "S"]
    world = np.asarray(source.data_to_world([s.start for s in view[: source.ndim]]))
    pairs = []
    for channel, result in enumerate(results):
        restored = full_resolution(result)
        factors = np.round(np.asarray(source.scale)[kept] / np.asarray(result.scale)).astype(int)
        # From the centre of the first source pixel to the first result pixel.
        first = np.round(np.asarray(result.world_to_data(world[kept])) - first_centre(factors)).astype(int)
        before, after = list(view), [slice(None)] * len(restored.shape)
        for i, axis in enumerate(kept):
            if axes[axis] == "C":  # its pixel is as long as all channels of the source
                after[i] = slice(0, 1)
                continue
            here, start, factor = view[axis], int(first[i]), int(factors[i])
            low = max(0, -(start // factor))
            high = min(here.stop - here.start, (restored.shape[i] - start) // factor)
            if high <= low:
                raise RestoreError("the result is not on screen; move there, or make another preview.")
            before[axis] = slice(here.start + low, here.start + high)
            after[i] = slice(start + low * factor, start + high * factor)
        if "C" in axes:
            before[axes.index("C")] = slice(channel, channel + 1)
        factor = int(factors[kept.index(axes.index("Y"))])
        pairs.append(Pair(result, full_resolution(source), restored, axes, tuple(before), tuple(after), factor))
    return pairs


def find_reference(layers: Sequence[Any], name: str | None, source: Any, placed: dict[str, Any]) -> NDArray[Any] | None:
    """Read the pixels of a reference layer that coincide with those of the result.

    Parameters
    ----------
    layers : sequence of napari.layers.Image
        Layers to search.
    name : str or None
        Name of the reference. None: try layers named clean, reference or truth, in order of the likeness of their name
        to that of the source.
    source : napari.layers.Image
        The layer that was restored.
    placed : dict
        See `Planes`.

    Returns
    -------
    ndarray or None
        Of the shape of the result; None if there is no reference.

    Raises
    ------
    RestoreError
        If the named layer does not cover these pixels.
    """
    likeness = {layer: SequenceMatcher(None, layer.name, source.name).ratio() for layer in layers}
    shape, axes = placed["shape"], placed["axes"]
    ndim = len(axes.replace("S", ""))
    for layer in sorted(layers, key=likeness.__getitem__, reverse=True):
        called = any(word in layer.name.lower() for word in ("clean", "reference", "truth"))
        if not (called if name is None else layer.name == name):
            continue
        data = full_resolution(layer)
        if layer.ndim == ndim and len(data.shape) == len(shape) and np.allclose(layer.scale, placed["scale"]):
            corner = np.asarray(layer.world_to_data(placed["affine"](placed["translate"])))
            start = [*np.round(corner).astype(int).tolist(), *[0] * (len(shape) - ndim)]
            index = tuple(slice(s, s + n) for s, n in zip(start, shape, strict=True))
            if all(s.start >= 0 and s.stop <= n for s, n in zip(index, data.shape, strict=True)):
                return _plane(data[index], axes)
        if name is not None:
            raise RestoreError(
                f"{name} does not cover what is on screen with pixels of the size of the result; choose another "
                "reference, or none."
            )
    return None


def tile_borders(
    plan: Plan, origin: tuple[int, int], where: tuple[tuple[int, int], tuple[int, int]]
) -> tuple[list[int], list[int]]:
    """Find the edges between pixels where tiles are blended, along y and x.

    Parameters
    ----------
    plan : Plan
        The plan of the run.
    origin : tuple of int
        First row and column of the result layer in the plan's result.
    where : ((int, int), (int, int))
        Rows and columns of the measured plane, ``(start, stop)`` each, in pixels of the layer.

    Returns
    -------
    (list of int, list of int)
        Counted from the first pixel of the plane, each between two of its pixels. Two tiles are blended over `blend`
        pixels; all borders between these are returned.
    """
    found = []
    for tiling, first, (start, stop) in zip((plan.grid.y, plan.grid.x), origin, where, strict=True):
        scale, low = plan.card.scale, first + start
        zones = (
            range(tiling.seam(k) * scale - low, (tiling.seam(k) + tiling.blend) * scale - low + 1)
            for k in range(1, tiling.count)
        )
        found.append(sorted({border for zone in zones for border in zone if 0 < border < stop - start}))
    return found[0], found[1]
