"""Estimate the memory of a run before it starts, and check that it fits the budget.

Only the host's memory beyond the program itself (Python, torch and the weights) is counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.blocks import decoded_chunk
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.sampling import CROP, CROPS
from napari_restore.errors import RecipeError
from napari_restore.images.image import Image
from napari_restore.intensity.fusion import REACH, STEP
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid
from napari_restore.ways_out import WayOut
from napari_restore.wording import human_bytes

__all__ = [
    "FUSED_ROWS",
    "LIBRARIES",
    "PREPARING",
    "block_bytes",
    "check_budget",
    "check_sample",
    "decoding_bytes",
    "memory_limit",
    "neighbour_axes",
    "network_bytes",
    "run_bytes",
    "sample_bytes",
    "tile_bytes",
]

_READ_TIMES = 3
"""Copies of a region while zarr reads it: encoded chunks, decoded chunks, and the result. Measured: at most three."""
_DECODED_TIMES = 3
"""Copies of a chunk while it is decoded: encoded, one inside the decoder (TIFF predictors), and decoded."""
_CHUNKS_AT_ONCE = 10
"""Number of chunks that zarr decodes at the same time."""
FUSED_ROWS = 512
"""Number of rows of a plane that are averaged with their neighbours at a time."""
_FUSING = 100
"""Bytes per pixel of these rows that averaging takes; measured maximum."""
LIBRARIES = 150 * 10**6
"""Bytes for modules that a run imports, threads, and caches of torch, zarr and the allocator."""
PREPARING = {"openvino": 550 * 10**6, "compiled": 700 * 10**6}
"""Bytes that a run takes in addition if it converts its network for OpenVINO, or compiles it.

Measured on a CPU: 315 to 452 MB to convert, 260 to 640 MB to compile, with the C++ compiler.
"""
_PLANNING = 75 * 10**6
"""Bytes for modules that planning imports, and caches; measured maximum."""
_SAMPLED = 18
"""Bytes per sampled value, besides the value itself: two arrays of float64, and masks."""
_ENSEMBLE_TIMES = 3
"""Copies of a batch and its result that averaging over orientations takes: the turned batch, its result, the sum."""
_WRITE_TIMES = 3
"""Copies of a block while it is written: its pixels, its encoded chunks, and the stored object."""


class Sized(Protocol):
    """The attributes of `napari_restore.engine.planning.plan.Plan` that its memory depends on."""

    @property
    def image(self) -> Image: ...
    @property
    def card(self) -> ModelCard: ...
    @property
    def recipe(self) -> Recipe: ...
    @property
    def device(self) -> Device: ...
    @property
    def grid(self) -> TileGrid: ...
    @property
    def axes(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def block(self) -> tuple[int, ...]: ...
    @property
    def prepares(self) -> bool: ...


def tile_bytes(card: ModelCard, grid: TileGrid) -> int:
    """Return the working memory of the network for one tile, in bytes."""
    return math.prod(grid.tile_shape) * card.bytes_per_pixel


def network_bytes(plan: Sized) -> int:
    """Return the host memory of the concurrent batches in bytes: tiles, and on a CPU the network's working memory."""
    recipe, card = plan.recipe, plan.card
    lanes, batch = recipe.lanes or 1, recipe.batch or 1
    results = (2 if recipe.uncertainty else 1) * card.out_channels * card.scale**2
    passing = math.prod(plan.grid.tile_shape) * 4 * (card.in_channels + results)
    working = tile_bytes(card, plan.grid) if plan.device.is_cpu else passing  # pinned copies
    if (recipe.ensemble or 1) > 1 and plan.device.is_cpu:
        working += _ENSEMBLE_TIMES * passing
    # Besides the batches in the network: one waits, one is being cut, and the result of one is being blended.
    return batch * (lanes * working + (lanes + 3) * passing)


def block_bytes(plan: Sized) -> tuple[int, int]:
    """Return the maximum bytes of a block while it is computed, and while it is read or written."""
    card, sizes = plan.card, dict(zip(plan.axes, plan.block, strict=True))
    block = {axis: min(size, length) for (axis, size), length in zip(sizes.items(), plan.shape, strict=True)}
    result = math.prod(block.values()) * (plan.dtype.itemsize + (4 if plan.recipe.uncertainty else 0))
    shape = _source_shape(plan.image, plan.grid, block, card.scale)
    source, fusing = math.prod(shape.values()) * plan.image.dtype.itemsize, 0
    if near := neighbour_axes(plan.image, plan.recipe):
        source, fusing = _with_neighbours(plan, shape, near)
    reading = max(_READ_TIMES * source, source + decoding_bytes(plan.image, shape))
    # Canvas: one row of tiles, and the rows that it shares with the next one.
    rows = min(block["Y"], plan.grid.tile_shape[0] * card.scale)
    canvas = rows * block["X"] * card.out_channels * (8 if plan.recipe.uncertainty else 4)
    return source + fusing + result + 2 * canvas, max(reading, _WRITE_TIMES * result)


def decoding_bytes(image: Image, pixels: Mapping[str, int]) -> int:
    """Return the maximum bytes for decoding the chunks that a region touches.

    `pixels` is the length of the region along each axis.
    """
    unit = decoded_chunk(image)
    if max(unit.values()) == 1:  # any region can be read
        return 0
    touched = math.prod(
        min(-((1 - pixels.get(axis, 1)) // length) + 1, -(-image.sizes[axis] // length))
        for axis, length in unit.items()
    )
    return min(touched, _CHUNKS_AT_ONCE) * _DECODED_TIMES * math.prod(unit.values()) * image.dtype.itemsize


def neighbour_axes(image: Image, recipe: Recipe) -> str:
    """Return the axes along which neighbouring planes are averaged into each plane; "" for none."""
    axes = recipe.neighbours.axis if recipe.neighbours else "none"
    return "".join(axis for axis in axes if image.sizes.get(axis, 1) > 1) if axes in ("T", "Z", "TZ") else ""


def _with_neighbours(plan: Sized, shape: dict[str, int], near: str) -> tuple[int, int]:
    """Return the bytes of a block's source with neighbouring planes, and the bytes for averaging them."""
    assert plan.recipe.neighbours is not None
    image, near_by = plan.image, plan.recipe.neighbours
    wider = shape | {axis: min(shape[axis] + 2 * (REACH + STEP), image.sizes[axis]) for axis in "YX"}
    slabs = [wider | {axis: min(shape[axis] + 2 * near_by.along(axis), image.sizes[axis])} for axis in near]
    read = sum(math.prod(slab.values()) for slab in slabs) * image.dtype.itemsize
    samples = image.sizes.get("S", 1) if plan.card.in_channels > 1 else 1
    rows = min(FUSED_ROWS + 2 * (REACH + STEP), wider["Y"]) * wider["X"] * samples * _FUSING
    return read, rows + shape["Y"] * shape["X"] * samples * 8


def _source_shape(image: Image, grid: TileGrid, block: dict[str, int], scale: int) -> dict[str, int]:
    """Return the largest shape of the source region that a block depends on, by axis."""
    overhang = dict(zip("YX", (2 * (size - 1) for size in grid.tile_shape), strict=True))
    return {
        axis: min(-(-block[axis] // scale) + 1 + overhang[axis], length)
        if axis in "YX"
        else length
        if axis == "S"
        else min(block[axis], length)
        for axis, length in image.sizes.items()
    }


def run_bytes(plan: Sized) -> int:
    """Return the maximum host memory of a run, in bytes.

    One block is computed at a time, while the others are read or written. A write unit of a coarser level counts as a
    block that is written.
    """
    computed, moved = block_bytes(plan)
    others = (plan.recipe.workers or 1) - 1
    return LIBRARIES + network_bytes(plan) + max(computed, moved) + others * moved + _preparing_bytes(plan)


def _preparing_bytes(plan: Sized) -> int:
    return PREPARING[plan.recipe.backend or "eager"] if plan.prepares else 0


def sample_bytes(image: Image) -> int:
    """Return the maximum host memory for the estimates before a run, in bytes.

    The crops of a channel and the chunks that they are read from are in memory at different times.

    Parameters
    ----------
    image : Image
        The source.
    """
    crops = min(CROPS * CROP**2, math.prod(image.sizes.get(axis, 1) for axis in "TZYX"))
    values = crops * image.sizes.get("S", 1)
    decoding = decoding_bytes(image, dict.fromkeys(image.sizes, 1))
    return _PLANNING + max(decoding, values * (_SAMPLED + image.dtype.itemsize))


def memory_limit(budget: int | None, free: int) -> tuple[int, str]:
    """Return the most memory that may be taken, in bytes, and what sets it in words.

    Parameters
    ----------
    budget : int or None
        The `memory_budget` of a recipe.
    free : int
        Free host memory in bytes; most of the libraries are loaded already, so they count as free.
    """
    if budget:
        return budget, f"memory_budget {human_bytes(budget)}"
    return free + LIBRARIES, f"{human_bytes(free)} free memory"


def check_sample(image: Image, budget: int | None, free: int, *, sampled: bool = False) -> None:
    """Refuse a source whose chunks, or whose sample, do not fit the memory, before anything is read.

    `sampled` says whether a sample is read, because some value of the recipe is estimated from it.

    Raises
    ------
    RecipeError
        If reading takes more memory than there is. The message says how much, and what to do.
    """
    decoding = decoding_bytes(image, dict.fromkeys(image.sizes, 1))
    limit, what = memory_limit(budget, free)
    if limit < LIBRARIES:  # `check_budget` refuses what is too little for any run
        return
    if LIBRARIES + decoding > limit:
        chunk = math.prod(decoded_chunk(image).values()) * image.dtype.itemsize
        raise RecipeError(
            f"{image.name} is stored in chunks of {human_bytes(chunk)}, which are read whole: that takes "
            f"{human_bytes(LIBRARIES + decoding)}, more than the {what}; store the image in smaller chunks",
            _MORE_MEMORY.after("or "),
        )
    if sampled and (needed := sample_bytes(image)) > limit:
        raise RecipeError(
            f"the sample of {image.name}, from which value range and noise are estimated, takes "
            f"{human_bytes(needed)}, more than the {what}",
            _MORE_MEMORY,
        )


_MORE_MEMORY = WayOut(
    "allow more memory with memory_budget=.", "allow more with --memory.", "allow more Memory under Performance."
)


def check_budget(plan: Sized, free: int) -> None:
    """Refuse a run that does not fit the memory.

    Raises
    ------
    RecipeError
        If the run takes more memory than there is. The message says how much, and what to change.
    """
    needed = run_bytes(plan)
    limit, what = memory_limit(plan.recipe.memory_budget, free)
    if needed <= limit:
        return
    blocks = max(block_bytes(plan))
    chunk = math.prod(decoded_chunk(plan.image).values()) * plan.image.dtype.itemsize
    chunks = f", its source in chunks of {human_bytes(chunk)} that are read whole" if 15 * chunk > blocks else ""
    prepared = human_bytes(_preparing_bytes(plan))
    prepare = (
        f", and {prepared} to prepare the network, which the back end eager does not take" if plan.prepares else ""
    )
    raise RecipeError(
        f"the run takes {human_bytes(needed)}, more than the {what}: {plan.recipe.workers} blocks in progress of "
        f"{human_bytes(blocks)} each{chunks}, and {human_bytes(network_bytes(plan))} for {plan.recipe.lanes} "
        f"concurrent batches of {plan.recipe.batch} tiles of {human_bytes(tile_bytes(plan.card, plan.grid))}"
        f"{prepare}; use smaller shards, a smaller tile, a smaller batch, fewer workers or concurrent batches (lanes)",
        _MORE_MEMORY.after("or "),
    )
