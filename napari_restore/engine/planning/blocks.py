"""Choose the shapes of chunks and blocks by their cost, or check the shapes that are given.

A block computes all tiles that touch it, so its neighbour computes the tiles on the border again: blocks with large
planes are cheap. A block reads all chunks of the source that its tiles touch, and reads them whole: blocks that align
with the source's chunks are cheap. Where the two contradict (a volume stored in cubes), the sum of the costs decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.errors import RecipeError
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import MappedArray, RawArray
from napari_restore.models.card import ModelCard
from napari_restore.tiling.blend import source_window
from napari_restore.tiling.grid import AxisTiling, TileGrid
from napari_restore.ways_out import WayOut

__all__ = [
    "Layout",
    "cheapest_layout",
    "decoded_chunk",
    "readable_chunk",
    "tile_seconds",
    "tile_share",
    "times_read",
    "z_order",
]

_CHUNK_SIDE = 512
_UNSHARDED_CHUNK_SIDE = 1024
_KEPT_SIDES = range(128, 1025)
"""Sides of a source's chunk that are also good for a viewer, so that the result keeps them."""
_KEPT_BYTES = 4 * 2**20
_LARGEST_BLOCK = 128 * 2**20
_USUAL_BLOCK = 32 * 2**20
_FEWEST_BLOCKS = 16
_NEARLY = 1.03
"""Factor; costs that differ by less count as equal."""
_READ_COST = 2.0
"""Time to read and decode one byte on one core, in nanoseconds; measured with zstd."""
_NETWORK_COST = {"cpu": 3.0, "cuda": 0.03, "mps": 0.3}
"""Time of a network per pixel of a tile and per byte of its working memory, in nanoseconds; measured on a CPU."""

_MANY_BLOCKS = 2**10
"""Blocks along one axis that are looked at one by one; borders of chunks and tiles fall the same way in the others."""

Sizes = dict[str, int]


@dataclass(frozen=True)
class Layout:
    """Shapes of a chunk and of a block of the result.

    Attributes
    ----------
    chunks, block : tuple of int
        Shapes in canonical order.
    why : str
        Reason for the choice, in one clause.
    """

    chunks: tuple[int, ...]
    block: tuple[int, ...]
    why: str


def tile_seconds(card: ModelCard, grid: TileGrid, device: Device) -> float:
    """Estimate the time of one tile in the network from its working memory, in seconds, without running it.

    It is right within a factor of ten. See `napari_restore.engine.compute.estimate.tile_seconds` for a measured time.

    Parameters
    ----------
    card : ModelCard
        The model.
    grid : TileGrid
        Its tiles.
    device : Device
        The device, not "auto".
    """
    return math.prod(grid.tile_shape) * card.bytes_per_pixel * _NETWORK_COST[device.kind] * 1e-9


def tile_share(grid: TileGrid, block: Sizes, shape: Sizes, scale: int) -> float:
    """Return the pixels of all tiles that the blocks of a plane compute, divided by the pixels of the plane."""
    tiles = _tiles_along(grid.y, shape["Y"], block["Y"], scale) * _tiles_along(grid.x, shape["X"], block["X"], scale)
    return tiles * math.prod(grid.tile_shape) / math.prod(grid.shape)


@lru_cache(maxsize=256)
def _tiles_along(tiling: AxisTiling, length: int, block: int, scale: int) -> int:
    """Return the number of tiles that all blocks along an axis compute; extrapolated if there are very many blocks."""
    spans, share = _some_spans(length, block, scale)
    return round(sum(len(tiling.touching(low, high)) for low, high in spans) * share)


def times_read(image: Image, grid: TileGrid, block: Sizes, shape: Sizes, scale: int) -> float:
    """Return the bytes that all blocks read, halo and whole chunks included, divided by the bytes of the image."""
    chunks = readable_chunk(image)
    times = 1.0
    for axis, length in image.sizes.items():
        if axis in "YX":
            times *= _times_read_along(axis, grid, shape[axis], block[axis], scale, chunks[axis]) / length
        elif axis != "S":
            step, chunk = min(block[axis], length), chunks[axis]
            touched = (step + chunk - math.gcd(step, chunk)) / step  # whole chunks, on average over the blocks
            times *= min(touched, -(-length // step))
    return times


def readable_chunk(image: Image) -> Sizes:
    """Return the smallest region that can be read, by axis: a chunk, or one pixel if any region can be read."""
    if isinstance(image.data, np.ndarray | RawArray | MappedArray):
        return dict.fromkeys(image.canonical, 1)
    return {a: min(c, n) for a, c, n in zip(image.canonical, image.chunks, image.shape, strict=True)}


def decoded_chunk(image: Image) -> Sizes:
    """Return the smallest region that can be decoded, by axis; one pixel if the source does not say."""
    known = image.chunks != image.shape or hasattr(image.data, "chunks")
    ours = type(image.data).__module__.startswith("napari_restore.")
    return readable_chunk(image) if known or ours else dict.fromkeys(image.canonical, 1)


@lru_cache(maxsize=256)
def _times_read_along(axis: str, grid: TileGrid, length: int, block: int, scale: int, chunk: int) -> int:
    plane = grid.shape["YX".index(axis)]
    whole = (0, 1)  # of the other axis, where any range gives the same
    read = 0
    spans, share = _some_spans(length, block, scale)
    for span in spans:
        window = source_window(grid, *((span, whole) if axis == "Y" else (whole, span)))
        low, high = window[:2] if axis == "Y" else window[2:]
        read += min(-(-high // chunk) * chunk, plane) - low // chunk * chunk
    return round(read * share)


def _some_spans(length: int, block: int, scale: int) -> tuple[Iterator[tuple[int, int]], float]:
    """Return the ranges of input pixels of the first blocks along an axis, and all blocks divided by these."""
    count = -(-length // block)
    starts = range(0, min(count, _MANY_BLOCKS) * block, block)
    spans = ((start // scale, -(-min(start + block, length) // scale)) for start in starts)
    return spans, max(count / _MANY_BLOCKS, 1.0)


def cheapest_layout(
    image: Image,
    card: ModelCard,
    grid: TileGrid,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    recipe: Recipe,
    device: Device,
    room: int,
) -> Layout:
    """Choose the shapes of a chunk and of a block, or check the given ones.

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    grid : TileGrid
        Tiles of a plane.
    shape : tuple of int
        Shape of the result, in canonical order.
    dtype : numpy.dtype
        Data type of the result.
    recipe : Recipe
        Settings of the run.
    device : Device
        Device of the network.
    room : int
        Bytes that a block of the result may take.

    Returns
    -------
    Layout
        The shapes.

    Raises
    ------
    RecipeError
        If given shapes do not fit the image or each other.
    """
    axes, sizes = image.canonical, dict(zip(image.canonical, shape, strict=True))
    kept = _kept_chunk(image, sizes, dtype, recipe)
    chunk = kept or _default_chunk(sizes, recipe)
    if recipe.chunks is not None:
        chunk = dict(zip(axes, _checked(recipe.chunks, axes, "chunks"), strict=True))
    if recipe.ome_version == "0.4" or recipe.shards is not None:
        return _checked_layout(axes, chunk, recipe)
    source = readable_chunk(image)
    found = []
    for block in _candidates(sizes, chunk, source):
        bytes_ = math.prod(block.values()) * dtype.itemsize
        share = tile_share(grid, block, sizes, card.scale)
        read = times_read(image, grid, block, sizes, card.scale)
        cost = share * card.bytes_per_pixel * _NETWORK_COST[device.kind] * (recipe.ensemble or 1)
        cost += read * image.dtype.itemsize * _READ_COST
        found.append((bytes_, cost, share, read, block))
    smallest = min(bytes_ for bytes_, *_ in found)
    fitting = [one for one in found if one[0] <= max(smallest, min(room, _LARGEST_BLOCK))]
    least = min(cost for _, cost, *_ in fitting)
    near = [one for one in fitting if one[1] <= least * _NEARLY]
    _, _, share, read, block = min(near, key=lambda one: (abs(math.log(one[0] / _USUAL_BLOCK)), one[1]))
    why = f"tiles {share:.2f} times the pixels, source read {read:.2f} times" + (
        ", the source's chunks" if kept else ""
    )
    return Layout(tuple(chunk.values()), tuple(block.values()), why)


def _checked_layout(axes: str, chunk: Sizes, recipe: Recipe) -> Layout:
    """Return the given shapes, or blocks of one chunk for OME-Zarr 0.4.

    Raises
    ------
    RecipeError
        If the shapes do not fit the image or each other.
    """
    if recipe.ome_version == "0.4":
        if recipe.shards is not None:
            raise RecipeError(
                "shards need OME-Zarr 0.5",
                WayOut(
                    "leave them out or use ome_version='0.5'.",
                    "leave out --shards or use --ome-version 0.5.",
                    "empty Shards, or set Version to 0.5.",
                ),
            )
        return Layout(
            tuple(chunk.values()), tuple(chunk.values()), "one chunk per block, as OME-Zarr 0.4 has no shards"
        )
    assert recipe.shards is not None
    block = dict(zip(axes, _checked(recipe.shards, axes, "shards"), strict=True))
    if any(block[a] % chunk[a] for a in axes):
        raise RecipeError(
            f"shards {recipe.shards} are not multiples of the chunks {tuple(chunk.values())} along every axis "
            f"of {axes}; change one of them."
        )
    return Layout(tuple(chunk.values()), tuple(block.values()), "as given")


def _checked(sizes: tuple[int, ...], axes: str, name: str) -> tuple[int, ...]:
    if len(sizes) != len(axes) or min(sizes) < 1:
        raise RecipeError(
            f"{name} {sizes} must be one positive length for each axis of the result, {axes}; give {len(axes)}, or "
            f"leave {name} out."
        )
    return sizes


def _default_chunk(sizes: Sizes, recipe: Recipe) -> Sizes:
    side = _UNSHARDED_CHUNK_SIDE if recipe.ome_version == "0.4" else _CHUNK_SIDE
    return {a: min(n, side) if a in "YX" else (n if a == "S" else 1) for a, n in sizes.items()}


def _kept_chunk(image: Image, sizes: Sizes, dtype: np.dtype[Any], recipe: Recipe) -> Sizes | None:
    """Return the shape of the source's chunks if it is also suitable for the result, else None."""
    chunk = readable_chunk(image) | ({"S": sizes["S"]} if "S" in sizes else {})
    chunk = {axis: min(length, sizes[axis]) for axis, length in chunk.items()}
    if recipe.ome_version == "0.4" or not all(chunk[axis] in _KEPT_SIDES for axis in "YX"):
        return None
    if any(chunk.get(axis, 1) != 1 for axis in "TC") or math.prod(chunk.values()) * dtype.itemsize > _KEPT_BYTES:
        return None
    return None if chunk == _default_chunk(sizes, recipe) else chunk


def _candidates(sizes: Sizes, chunk: Sizes, source: Sizes) -> Iterator[Sizes]:
    """Yield shapes of a block: squares and whole planes, with one or more planes along Z."""
    widest = max(-(-sizes[axis] // chunk[axis]) for axis in "YX")
    for factor in [*(2**k for k in range(24) if 2**k < widest), widest]:
        plane = {a: min(factor, -(-sizes[a] // chunk[a])) * chunk[a] for a in "YX"}
        if "Z" not in sizes:
            yield {**chunk, **plane}
            continue
        step = chunk["Z"]
        planes = -(-sizes["Z"] // step)
        together = max(1, min(planes, -(-source["Z"] // step)))  # planes that the source stores together
        for depth in sorted({1, together, *(together * 2**k for k in range(12) if together * 2**k <= planes)}):
            block = {**chunk, **plane, "Z": depth * step}
            count = math.prod(-(-sizes[axis] // block[axis]) for axis in sizes)
            if depth in (1, together) or count >= _FEWEST_BLOCKS:
                yield block


def z_order(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Yield the rows and columns of a rectangle in Z-order."""

    def within(row: int, column: int, side: int) -> Iterator[tuple[int, int]]:
        if row >= rows or column >= columns:
            return
        if side == 1:
            yield row, column
            return
        half = side // 2
        for corner in ((0, 0), (0, half), (half, 0), (half, half)):
            yield from within(row + corner[0], column + corner[1], half)

    return within(0, 0, 1 << (max(rows, columns) - 1).bit_length())
