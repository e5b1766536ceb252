"""The shapes of a chunk and of a block: chosen by what they cost, or checked where they are given.

A block computes every tile that touches it, so tiles on its border are computed by its neighbour too: large planes are
cheap. It reads every chunk of the source that its tiles touch, whole: blocks that follow the source's chunks are cheap.
Where the two disagree (a volume stored in cubes), the costs decide.
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

__all__ = ["Layout", "cheapest_layout", "decoded_unit", "read_unit", "tile_share", "times_read"]

_CHUNK_SIDE = 512
_UNSHARDED_CHUNK_SIDE = 1024
_KEPT_SIDES = range(128, 1025)
"""Sides of a source's chunk that are good for a viewer too."""
_KEPT_BYTES = 4 * 2**20
_LARGEST_BLOCK = 128 * 2**20
_USUAL_BLOCK = 32 * 2**20
_FEWEST_BLOCKS = 16
_NEARLY = 1.03
"""Costs that differ by less count as equal."""
_READ_COST = 2.0
"""Nanoseconds of a core to read and decode a byte; measured on zstd."""
_NETWORK_COST = {"cpu": 3.0, "cuda": 0.03, "mps": 0.3}
"""Nanoseconds that a network takes for a pixel of a tile, for each byte of its working memory; measured on a CPU."""

_MANY_BLOCKS = 2**10
"""Blocks along one axis that are looked at one by one; borders of chunks and tiles fall the same way in the others."""

Sizes = dict[str, int]


@dataclass(frozen=True)
class Layout:
    """Shapes in canonical order, and what spoke for them.

    Attributes
    ----------
    chunks, block
        Shapes of a chunk and of a block of the result.
    why
        One clause.
    """

    chunks: tuple[int, ...]
    block: tuple[int, ...]
    why: str


def tile_share(grid: TileGrid, block: Sizes, shape: Sizes, scale: int) -> float:
    """Pixels of all tiles that the blocks of a plane compute, divided by the pixels of the plane."""
    tiles = _tiles_along(grid.y, shape["Y"], block["Y"], scale) * _tiles_along(grid.x, shape["X"], block["X"], scale)
    return tiles * math.prod(grid.tile_shape) / math.prod(grid.shape)


@lru_cache(maxsize=256)
def _tiles_along(tiling: AxisTiling, length: int, block: int, scale: int) -> int:
    """Tiles that all blocks along an axis compute; of very many blocks, as many as the first ones let expect."""
    spans, share = _some_spans(length, block, scale)
    return round(sum(len(tiling.touching(low, high)) for low, high in spans) * share)


def times_read(image: Image, grid: TileGrid, block: Sizes, shape: Sizes, scale: int) -> float:
    """Bytes that the blocks read, halo and whole chunks included, divided by the bytes of the image."""
    chunks = read_unit(image)
    times = 1.0
    for axis, length in image.sizes.items():
        if axis in "YX":
            times *= _times_read_along(axis, grid, shape[axis], block[axis], scale, chunks[axis]) / length
        elif axis != "S":
            step, chunk = min(block[axis], length), chunks[axis]
            touched = (step + chunk - math.gcd(step, chunk)) / step  # whole chunks, on average over the blocks
            times *= min(touched, -(-length // step))
    return times


def read_unit(image: Image) -> Sizes:
    """What is read at once, at least, along each axis: a chunk, or one pixel where any part can be read."""
    if isinstance(image.data, np.ndarray | RawArray | MappedArray):
        return dict.fromkeys(image.canonical, 1)
    return {a: min(c, n) for a, c, n in zip(image.canonical, image.chunks, image.shape, strict=True)}


def decoded_unit(image: Image) -> Sizes:
    """What is decoded at once, at least, along each axis, as far as the source tells; one pixel where it does not."""
    told = image.chunks != image.shape or hasattr(image.data, "chunks")
    ours = type(image.data).__module__.startswith("napari_restore.")
    return read_unit(image) if told or ours else dict.fromkeys(image.canonical, 1)


@lru_cache(maxsize=256)
def _times_read_along(axis: str, grid: TileGrid, length: int, block: int, scale: int, chunk: int) -> int:
    plane = grid.shape["YX".index(axis)]
    whole = (0, 1)  # of the other axis: any range will do
    read = 0
    spans, share = _some_spans(length, block, scale)
    for span in spans:
        window = source_window(grid, *((span, whole) if axis == "Y" else (whole, span)))
        low, high = window[:2] if axis == "Y" else window[2:]
        read += min(-(-high // chunk) * chunk, plane) - low // chunk * chunk
    return round(read * share)


def _some_spans(length: int, block: int, scale: int) -> tuple[Iterator[tuple[int, int]], float]:
    """Input pixels of each block along an axis, or of the first of very many, and how many times as many there are."""
    count = -(-length // block)
    starts = range(0, min(count, _MANY_BLOCKS) * block, block)
    return (
        ((start // scale, -(-min(start + block, length) // scale)) for start in starts),
        max(count / _MANY_BLOCKS, 1.0),
    )


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
    """Choose the shapes of a chunk and of a block, or check those given.

    Parameters
    ----------
    image, card, grid, recipe, device
        Of the run.
    shape, dtype
        Of the result, in canonical order.
    room
        Bytes that a block of the result may take.

    Raises
    ------
    RecipeError
        If shapes that are given do not fit.
    """
    axes, sizes = image.canonical, dict(zip(image.canonical, shape, strict=True))
    kept = _kept_chunk(image, sizes, dtype, recipe)
    chunk = kept or _default_chunk(sizes, recipe)
    if recipe.chunks is not None:
        chunk = dict(zip(axes, _checked(recipe.chunks, axes, "chunks"), strict=True))
    if recipe.ome_version == "0.4" or recipe.shards is not None:
        return _checked_layout(axes, chunk, recipe)
    source = read_unit(image)
    found = []
    for block in _candidates(sizes, chunk, source):
        bytes_ = math.prod(block.values()) * dtype.itemsize
        share = tile_share(grid, block, sizes, card.scale)
        read = times_read(image, grid, block, sizes, card.scale)
        cost = share * card.bytes_per_pixel * _NETWORK_COST[device.kind]
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
    """Take the shapes that are given, or chunks that are stored one by one.

    Raises
    ------
    RecipeError
        If they do not fit.
    """
    if recipe.ome_version == "0.4":
        if recipe.shards is not None:
            raise RecipeError("shards need OME-Zarr 0.5; leave them out or use ome_version='0.5'.")
        return Layout(tuple(chunk.values()), tuple(chunk.values()), "one chunk each, as OME-Zarr 0.4 has no shards")
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
    """Give the shape of the source's chunks, where they are good for the result too."""
    chunk = read_unit(image) | ({"S": sizes["S"]} if "S" in sizes else {})
    chunk = {axis: min(length, sizes[axis]) for axis, length in chunk.items()}
    if recipe.ome_version == "0.4" or not all(chunk[axis] in _KEPT_SIDES for axis in "YX"):
        return None
    if any(chunk.get(axis, 1) != 1 for axis in "TC") or math.prod(chunk.values()) * dtype.itemsize > _KEPT_BYTES:
        return None
    return None if chunk == _default_chunk(sizes, recipe) else chunk


def _candidates(sizes: Sizes, chunk: Sizes, source: Sizes) -> Iterator[Sizes]:
    """Yield shapes of a block: squares and whole planes, one or more planes deep, at most one block deep along Z."""
    widest = max(-(-sizes[axis] // chunk[axis]) for axis in "YX")
    for factor in [*(2**k for k in range(24) if 2**k < widest), widest]:
        plane = {a: min(factor, -(-sizes[a] // chunk[a])) * chunk[a] for a in "YX"}
        if "Z" not in sizes:
            yield {**chunk, **plane}
            continue
        step = chunk["Z"]
        planes = -(-sizes["Z"] // step)
        together = max(1, min(planes, -(-source["Z"] // step)))  # what the source stores together
        for depth in sorted({1, together, *(together * 2**k for k in range(12) if together * 2**k <= planes)}):
            block = {**chunk, **plane, "Z": depth * step}
            count = math.prod(-(-sizes[axis] // block[axis]) for axis in sizes)
            if depth in (1, together) or count >= _FEWEST_BLOCKS:
                yield block
