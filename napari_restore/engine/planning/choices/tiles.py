"""Choose the area of Restormer's attention, and tile, halo and blend."""

from __future__ import annotations

import math

from napari_restore.engine.hardware.device import Device
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.errors import RecipeError
from napari_restore.images.image import Image
from napari_restore.models.card import ModelCard
from napari_restore.models.windows import with_windows
from napari_restore.tiling.grid import TileGrid
from napari_restore.ways_out import WayOut

__all__ = ["check_positions", "choose_tiling", "choose_windows", "tile_reason"]

_MOST_OVERLAP = 1.25
"""Pixels in all tiles of a plane, as a multiple of its pixels, above which larger tiles pay."""
_LARGEST = 1152
"""Largest side of a tile that is chosen, in input pixels."""
_USUAL = 640**2
"""Pixels of a tile above which a lower overlap than `_MOST_OVERLAP` is not worth the memory."""
_LEAST = 3
"""Smallest side of a tile that is chosen, as a multiple of halo and blend of both sides."""
_TOGETHER = 2
"""Number of tiles that a run should have at least, so that they can be computed at the same time."""


def choose_windows(card: ModelCard, recipe: Recipe) -> tuple[ModelCard, int]:
    """Choose whether Restormer's attention is summed over windows of the image or over a whole tile.

    Windows are chosen for a model whose card states a window, unless the user gave a tile that is no multiple of the
    cells of windows, or the padding of the authors, which restores whole planes.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    recipe : Recipe
        Settings; `attention_window` may be open.

    Returns
    -------
    card : ModelCard
        Card of the model as it is run.
    window : int
        Side of a window in input pixels; 0 for attention over a whole tile.

    Raises
    ------
    RecipeError
        If the given window does not fit the model.
    """
    window = recipe.attention_window
    if window is None:
        window = card.attention_window or 0
        if window and (
            card.chain or recipe.padding == "authors" or not _given_tile_fits(recipe, with_windows(card, window))
        ):
            window = 0
    return (with_windows(card, window), window) if window else (card, 0)


def _given_tile_fits(recipe: Recipe, card: ModelCard) -> bool:
    sides = recipe.tile if isinstance(recipe.tile, tuple) else (recipe.tile or 0,)
    overlap = None if recipe.halo is None or recipe.blend is None else 2 * recipe.halo + recipe.blend
    return not any(length % card.alignment for length in (*sides, overlap or 0))


def choose_tiling(
    image: Image, card: ModelCard, recipe: Recipe, room: int, device: Device
) -> tuple[int | tuple[int, int], int, int]:
    """Choose tile, halo and blend where they are open.

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model as it is run.
    recipe : Recipe
        Settings.
    room : int
        Memory of the network in bytes.
    device : Device
        Device of the network.

    Returns
    -------
    tile : int or (int, int)
        Side of a tile, or its height and width, in input pixels.
    halo, blend : int
        In input pixels.
    """
    tile = recipe.tile if recipe.tile is not None else _fitting_tile(image, card, recipe, room, device)
    halo = recipe.halo if recipe.halo is not None else _fitting_halo(card, tile)
    # With a halo that the user gave, the blend changes so that the stride is still a multiple of the alignment.
    return tile, halo, recipe.blend if recipe.blend is not None else _fitting_blend(card, halo)


def _fitting_tile(image: Image, card: ModelCard, recipe: Recipe, room: int, device: Device) -> int | tuple[int, int]:
    """Return the tile with the least overlap that fits the memory, no larger than is needed for little overlap."""
    from napari_restore.engine.hardware.devices import cores

    if card.local:
        lanes = recipe.lanes or (cores() if device.is_cpu else 1)
        halo = recipe.halo if recipe.halo is not None else card.halo
        overlap = 2 * halo + (recipe.blend if recipe.blend is not None else _fitting_blend(card, halo))
        largest = room // (lanes * card.bytes_per_pixel)
        costs = _costs(image, overlap, card.alignment)
        fitting = {tile: cost for tile, cost in costs.items() if math.prod(tile) <= largest}
        if fitting:
            usual = [tile for tile in fitting if math.prod(tile) <= _USUAL]
            best = min(usual or fitting, key=lambda tile: fitting[tile])
            cheap = [tile for tile, cost in fitting.items() if cost <= _MOST_OVERLAP]
            if fitting[best] > _MOST_OVERLAP:
                best = min(cheap, key=math.prod) if cheap else min(fitting, key=lambda tile: fitting[tile])
            return best[0] if best[0] == best[1] else best
    tile, smallest = card.tile, 2 * card.halo + card.blend + card.alignment
    while tile - card.alignment >= smallest and tile**2 * card.bytes_per_pixel > room:
        tile -= card.alignment
    return tile


def _costs(image: Image, overlap: int, alignment: int) -> dict[tuple[int, int], float]:
    """Return the pixels in all tiles divided by those of the image, by height and width of a tile.

    If there are few tiles, the cost includes the cores that would have none.
    """
    ways = []
    for axis in "YX":
        padded = -(-image.sizes[axis] // alignment) * alignment
        first = -(-max(_LEAST * overlap, alignment) // alignment) * alignment
        sides = range(first, max(min(_LARGEST, padded), first) + 1, alignment)
        counts = {side: -(-(padded - min(side, padded)) // (side - overlap)) + 1 for side in sides}
        ways.append([(side, n, n * min(side, padded) / image.sizes[axis]) for side, n in counts.items()])
    planes, costs = math.prod(image.shape) // (image.sizes["Y"] * image.sizes["X"]), {}
    for height, down, share_y in ways[0]:
        for width, across, share_x in ways[1]:
            tiles = planes * down * across
            costs[height, width] = share_y * share_x * -(-tiles // _TOGETHER) * _TOGETHER / tiles
    return costs


def _fitting_halo(card: ModelCard, tile: int | tuple[int, int]) -> int:
    """Return the model's halo, or a quarter of the tile if the tile is too small for it."""
    side = min(tile) if isinstance(tile, tuple) else tile
    if side >= 2 * card.halo + card.blend + card.alignment:
        return card.halo
    return side // 4 // card.alignment * card.alignment


def _fitting_blend(card: ModelCard, halo: int) -> int:
    """Return the blend nearest to the model's that keeps tile origins at multiples of the alignment."""
    if halo < 0:
        return card.blend  # `plane_grid` refuses the halo
    return card.blend - (2 * halo + card.blend) % card.alignment


def check_positions(card: ModelCard, grid: TileGrid) -> None:
    """Check that a network with absolute positions has one for each pixel of a tile.

    Parameters
    ----------
    card : ModelCard
        Card of the model.
    grid : TileGrid
        The tiles.

    Raises
    ------
    RecipeError
        If a tile is larger than the images that the network was trained on.
    """
    side, (height, width) = card.largest_tile, grid.tile_shape
    if side is not None and max(height, width) > side:
        raise RecipeError(
            f"a tile of {height} x {width} is larger than the {side} x {side} pixels that {card.name} has absolute "
            "positions for",
            WayOut(
                f"leave out tile= and padding=, or use tile={side} or less.",
                f"leave out --tile and --padding, or use --tile {side} or less.",
                f"set Tile to auto, or to {side} or less, and Padding to reflect.",
            ),
        )


def tile_reason(card: ModelCard, grid: TileGrid) -> str:
    """Describe how the tile was chosen, and the cost of its overlap."""
    side = max(grid.tile_shape)
    origin = (
        "the model's own" if side == card.tile
        else "larger than the model's own, to save halo" if side > card.tile and grid.count > 1
        else "the plane" if grid.count == 1
        else "given, or limited by memory"
    )  # fmt: skip
    cost = math.prod(axis.count * axis.size / axis.length for axis in (grid.y, grid.x))
    window = card.hyperparameters.get("attention_window")
    attention = f"; attention over windows of {window} px" if window else ""
    return f"{origin}; overlap costs {cost:.2f}{attention}"
