"""Settings that are left open: tile, batch, lanes and workers, chosen from the model, the device and the memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_restore.engine.describe import counted
from napari_restore.engine.memory import run_bytes, tile_bytes
from napari_restore.engine.recipe import Recipe
from napari_restore.images.image import Image
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid

if TYPE_CHECKING:
    from napari_restore.engine.plan import Plan

__all__ = ["choose_lanes", "choose_tiling", "choose_workers", "fitting_batch", "tile_reason"]

_MOST_WORKERS = 3
_LARGEST_BATCH = 16
_TILES_ACROSS = 4
"""A larger tile than the model's own is for planes of at least this many of them each way."""


def choose_tiling(image: Image, card: ModelCard, recipe: Recipe, room: int) -> tuple[int | tuple[int, int], int, int]:
    """Choose tile, halo and hand-over where they are open, for a network that may take `room` bytes."""
    tile = recipe.tile if recipe.tile is not None else _fitting_tile(image, card, recipe, room)
    halo = recipe.halo if recipe.halo is not None else _fitting_halo(card, tile)
    # A halo of the user's own choice still has to leave a stride on the network's grid: the hand-over gives way.
    return tile, halo, recipe.blend if recipe.blend is not None else _fitting_blend(card, halo)


def _fitting_tile(image: Image, card: ModelCard, recipe: Recipe, room: int) -> int:
    """Give the card's tile, twice as much where that saves halo and changes nothing else, or less if it must fit."""
    from napari_restore.engine.predictor import cores

    tile = card.tile
    # Where the inner pixels of a tile do not depend on its size, half as many borders cost less: (T / (T - 2h))^2.
    large = min(image.sizes["Y"], image.sizes["X"]) >= _TILES_ACROSS * 2 * tile
    lanes = recipe.lanes or cores()
    if card.exact_tiles and large and lanes * (2 * tile) ** 2 * card.bytes_per_pixel <= room:
        return 2 * tile
    smallest = 2 * card.halo + card.blend + card.alignment
    while tile - card.alignment >= smallest and tile**2 * card.bytes_per_pixel > room:
        tile -= card.alignment
    return tile


def _fitting_halo(card: ModelCard, tile: int | tuple[int, int]) -> int:
    """Give the card's halo, or a quarter of a tile that is too small for it."""
    side = min(tile) if isinstance(tile, tuple) else tile
    if side >= 2 * card.halo + card.blend + card.alignment:
        return card.halo
    return side // 4 // card.alignment * card.alignment


def _fitting_blend(card: ModelCard, halo: int) -> int:
    """Width of the hand-over nearest to the card's that, with this halo, keeps tile origins on the network's grid."""
    if halo < 0:
        return card.blend  # the grid reports the halo
    return card.blend - (2 * halo + card.blend) % card.alignment


def tile_reason(card: ModelCard, grid: TileGrid) -> str:
    """Say where the tile comes from, and what its halo costs."""
    side = max(grid.tile_shape)
    origin = (
        "the model's own" if side == card.tile
        else "more than the model's own, to save halo" if side == 2 * card.tile and card.exact_tiles
        else "the plane" if grid.count == 1
        else "as given, or as memory allows"
    )  # fmt: skip
    cost = math.prod(axis.size / axis.stride if axis.count > 1 else 1.0 for axis in (grid.y, grid.x))
    return f"{origin}; overlap costs {cost:.2f}"


def choose_lanes(card: ModelCard, grid: TileGrid, recipe: Recipe, device: str, room: int) -> tuple[int, str]:
    """Choose how many batches are in the network at a time: on a CPU one for each core, if memory allows."""
    from napari_restore.engine.predictor import cores

    if device != "cpu":
        return recipe.lanes or 1, "copies overlap computing"
    there = cores()
    fit = max(1, room // (tile_bytes(card, grid) * (recipe.batch or 1)))
    lanes = recipe.lanes or min(there, fit)
    limit = ", as memory allows" if recipe.lanes is None and fit < there else ""
    words = (counted(lanes, "lane"), counted(max(1, there // lanes), "thread"), counted(there, "core"))
    return lanes, f"{words[0]} of {words[1]} on {words[2]}{limit}"


def fitting_batch(plan: Plan, room: int) -> int:
    """Choose how many tiles go through a GPU together, so that the last batch of a block is nearly full.

    On a CPU one is as fast as many.
    """
    if plan.recipe.device.startswith("cpu"):
        return 1
    most = min(_LARGEST_BATCH, max(1, room // tile_bytes(plan.card, plan.grid)))
    tiles = max(1, round(plan.tiles / plan.blocks))
    # A few more places than tiles are computed for nothing; small batches use the device badly.
    return min(range(-(-most // 2), most + 1), key=lambda batch: (-(-tiles // batch) * batch, -batch))


def choose_workers(plan: Plan, budget: int) -> int:
    """Choose how many blocks are in progress: one computing, one reading, one writing, or fewer if memory is short."""
    most = min(_MOST_WORKERS, plan.blocks)
    while most > 1 and run_bytes(plan.with_settings(workers=most)) > budget:
        most -= 1
    return most
