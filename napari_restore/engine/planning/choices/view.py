"""Plan a first look at a part of a result: with tiles that cover this part alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from napari_restore.engine.hardware.backends import BackendName, choose_backend
from napari_restore.engine.planning.choices.tiles import choose_tiling
from napari_restore.engine.planning.memory import tile_bytes
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.result_shape import result_shape
from napari_restore.images.image import LazyArray
from napari_restore.images.lazy_arrays import Region
from napari_restore.tiling.grid import plane_grid

__all__ = ["ViewPlan", "plan_view", "tile_pixels"]


@dataclass(frozen=True)
class ViewPlan:
    """Plan of a part of a result.

    Attributes
    ----------
    plan : Plan
        Plan whose source is the part with its halo.
    region : tuple of slice
        The part in the result of that plan, in canonical order.
    pixels : int
        Pixels in all tiles of a plane that the part needs.
    """

    plan: Plan
    region: Region
    pixels: int


def plan_view(plan: Plan, region: Region, *, backend: Literal["eager"] | None = None) -> ViewPlan | None:
    """Plan a part of a result with tiles of its own, which compute little more than this part and its halo.

    The tiles of a run lie on the grid of the whole image, and a part that touches four of them computes all four. With
    tiles of its own, a part differs a little from the result of the run: with SwinIR by less than a step of 16 bits,
    with attention windows of a Restormer by about a hundredth of the removed noise (docs/restormer-tiles.md).

    Parameters
    ----------
    plan : Plan
        Plan of the run.
    region : tuple of slice
        The part, in pixels of the result, in canonical order: whole pixels of the source.
    backend : {"eager"} or None
        Back end; None to choose: OpenVINO with the tile of the run, if the network has been converted for it.

    Returns
    -------
    ViewPlan or None
        None if a result depends on the whole tile, so that other tiles would give another result.
    """
    if not plan.card.local or plan.recipe.padding == "authors":
        return None
    converted = backend is None and plan.recipe.backend == "openvino" and _backend(plan) == "openvino"
    halo = plan.recipe.halo or 0
    parts, inside = _in_source(plan, region), {}
    for letter, side in zip("YX", plan.grid.tile_shape, strict=True):
        least = side if converted else 0
        inside[letter] = _surroundings(parts[letter], halo, plan.card.alignment, least, plan.image.sizes[letter])
    image = replace(plan.image, data=_Part(plan.image.data, plan.image.axes, inside), chunks=(), annotations=None)
    room = (plan.recipe.lanes or 1) * tile_bytes(plan.card, plan.grid)
    tile: int | tuple[int, int] = plan.grid.tile_shape
    if not converted:
        tile, _, _ = choose_tiling(image, plan.card, plan.recipe.model_copy(update={"tile": None}), room, plan.device)
    grid = plane_grid(
        *(image.sizes[letter] for letter in "YX"),
        tile=tile, halo=halo, blend=plan.recipe.blend or 0, alignment=plan.card.alignment,
    )  # fmt: skip
    shape = result_shape(image, plan.card)
    made = replace(
        plan, image=image, grid=grid, shape=shape, block=shape, levels=1,
        recipe=plan.recipe.model_copy(update={"tile": tile, "backend": "openvino" if converted else "eager"}),
    )  # fmt: skip
    for letter in "YX":
        first, scale = inside[letter].start, plan.card.scale
        parts[letter] = slice((parts[letter].start - first) * scale, (parts[letter].stop - first) * scale)
    return ViewPlan(made, tuple(parts.values()), grid.count * math.prod(grid.tile_shape))


def tile_pixels(plan: Plan, region: Region) -> int:
    """Return the pixels of all tiles of a run that a part of its result touches, in one plane.

    Parameters
    ----------
    plan : Plan
        Plan of the run.
    region : tuple of slice
        See `plan_view`.
    """
    parts = _in_source(plan, region)
    tiles = plan.grid.touching(*((parts[letter].start, parts[letter].stop) for letter in "YX"))
    return len(tiles) * math.prod(plan.grid.tile_shape)


def _in_source(plan: Plan, region: Region) -> dict[str, slice]:
    """Return a part of the result by axis, along Y and X in pixels of the source."""
    scale = plan.card.scale
    return {
        letter: slice(part.start // scale, part.stop // scale) if letter in "YX" else part
        for letter, part in zip(plan.axes, region, strict=True)
    }


def _backend(plan: Plan) -> BackendName:
    """Return the fastest back end that needs no conversion now."""
    batch = (plan.recipe.batch or 1, plan.card.in_channels, *plan.grid.tile_shape)
    return choose_backend(plan.card, plan.device, plan.recipe.precision or "float32", batch, 0, None).name


def _surroundings(part: slice, halo: int, alignment: int, least: int, length: int) -> slice:
    """Add the halo to a part of an axis, and more if it has less than a number of pixels, within the axis."""
    low, high = part.start - halo, part.stop + halo
    low = min(low, length - least) // alignment * alignment
    low = max(low, 0)
    return slice(low, min(max(high, low + least), length))


class _Part:
    """A lazy part of an array along Y and X."""

    def __init__(self, data: LazyArray, axes: str, inside: dict[str, slice]) -> None:
        self._data = data
        self._starts = tuple(inside[letter].start if letter in inside else 0 for letter in axes)
        self.shape = tuple(
            inside[letter].stop - inside[letter].start if letter in inside else length
            for letter, length in zip(axes, data.shape, strict=True)
        )
        self.dtype = np.dtype(data.dtype)

    def __getitem__(self, region: Region, /) -> Any:
        """Read a region of the part."""
        moved = (slice(s.start + start, s.stop + start) for s, start in zip(region, self._starts, strict=True))
        return self._data[tuple(moved)]
