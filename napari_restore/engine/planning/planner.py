"""From a recipe to a plan: every open setting chosen from model, image, device and memory, and everything checked."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.planning.blocks import cheapest_layout
from napari_restore.engine.planning.memory import (
    LIBRARIES,
    check_budget,
    check_sample,
    decoding_bytes,
    run_bytes,
    tile_bytes,
)
from napari_restore.engine.planning.neighbour_choice import Chosen, choose_neighbours
from napari_restore.engine.planning.normalisation import choose_intensity
from napari_restore.engine.planning.plan import Plan, gray_through_colour, result_shape
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.errors import ModelError, RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.writing.pyramid import levels_for
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid, plane_grid
from napari_restore.wording import counted

__all__ = ["choose_lanes", "choose_tiling", "choose_workers", "fitting_batch", "make_plan", "tile_reason"]

_MOST_WORKERS = 3
_LARGEST_BATCH = 16
_TILES_ACROSS = 4
"""A larger tile than the model's own is for planes of at least this many of them each way."""


def make_plan(image: Image, card: ModelCard, recipe: Recipe, *, estimate: bool = True) -> Plan:
    """Choose every open setting of a recipe and check that the run is possible.

    Parameters
    ----------
    image, card
        Source and model.
    recipe
        Settings; open ones (None) are chosen here.
    estimate
        Read an even sample of the image for its value range and noise; without it they may stay open.

    Raises
    ------
    RecipeError, ModelError, SourceError
        If a setting does not fit the model or the image.
    """
    from napari_restore.engine.hardware.backends import choose_backend
    from napari_restore.engine.hardware.devices import choose_devices, free_memory, spare_devices
    from napari_restore.engine.hardware.precision import choose_precision

    _check_channels(image, card)
    devices = choose_devices(recipe.device)
    device = devices[0]  # each process is planned as if it were the only one
    free = free_memory(CPU)
    budget = recipe.memory_budget or free // 2
    check_sample(image, recipe.memory_budget, free)
    # Of a budget of the user's own, which is kept, a part is for what is not the network.
    for_network = max(budget - LIBRARIES, 0) * 3 // 4 if recipe.memory_budget else budget
    room = for_network if device.is_cpu else free_memory(device) // 2
    tile, halo, blend = (
        _whole_plane(image, card, recipe) if recipe.padding == "authors" else choose_tiling(image, card, recipe, room)
    )
    grid = plane_grid(image.sizes["Y"], image.sizes["X"], tile=tile, halo=halo, blend=blend, alignment=card.alignment)
    intensity = choose_intensity(image, card, recipe, estimate=estimate)
    near = choose_neighbours(image, card, recipe, intensity) if estimate else Chosen(recipe.neighbours, "")
    dtype = image.dtype if recipe.dtype == "same" else np.dtype(recipe.dtype)
    shape = result_shape(image, card)
    # A few blocks of three times their size (see `block_bytes`), beside what the network takes.
    network = tile_bytes(card, grid) if device.is_cpu else 0
    one_chunk = decoding_bytes(image, dict.fromkeys(image.sizes, 1))
    room_for_blocks = max(budget - network - LIBRARIES - one_chunk, 0) // 9
    layout = cheapest_layout(image, card, grid, shape, dtype, recipe, device, room_for_blocks)
    _check_samples(image, card, dict(zip(image.canonical, shape, strict=True)), layout.block)
    lanes, threads, why_lanes = choose_lanes(card, grid, recipe, device, room)
    chosen = {
        "axes": image.axes, "tile": tile, "halo": halo, "blend": blend, **intensity.settings,
        "neighbours": near.neighbours,
        "chunks": layout.chunks, "shards": None if recipe.ome_version == "0.4" else layout.block,
        "device": ",".join(map(str, devices)), "workers": recipe.workers or 1, "lanes": lanes, "threads": threads,
        "batch": recipe.batch or 1, "precision": recipe.precision or choose_precision(card, device),
    }  # fmt: skip
    plan = Plan(
        image, card, recipe.model_copy(update=chosen), grid, shape, dtype, layout.block,
        levels_for(shape, image.canonical) if recipe.pyramid else 1,
        spare_devices(device) if recipe.device == "auto" else (),
        {"tiles": tile_reason(card, grid), "blocks": layout.why, "no image": intensity.why,
         "neighbours": near.why},
    )  # fmt: skip
    plan = plan if recipe.batch else plan.with_settings(batch=fitting_batch(plan, room))
    plan = plan if recipe.workers else plan.with_settings(workers=choose_workers(plan, budget))
    batch = (plan.recipe.batch or 1, card.in_channels, *grid.tile_shape)
    pixels = plan.tiles * math.prod(grid.tile_shape)
    backend = choose_backend(card, device, plan.recipe.precision or "float32", batch, pixels, recipe.backend)
    why_device = "; ".join(filter(None, (why_lanes, backend.why)))
    plan = replace(plan.with_settings(backend=backend.name), why={**plan.why, "device": why_device})
    check_budget(plan, free)
    return plan


def _whole_plane(image: Image, card: ModelCard, recipe: Recipe) -> tuple[tuple[int, int], int, int]:
    """Give the one tile that is a whole plane: the authors' padding is made for nothing else."""
    height, width = (-(-image.sizes[axis] // card.alignment) * card.alignment for axis in "YX")
    if recipe.tile not in (None, (height, width)) or recipe.halo or recipe.blend:
        raise RecipeError(
            f"padding='authors' restores whole planes ({height} x {width} here), and tile={recipe.tile}, "
            f"halo={recipe.halo}, blend={recipe.blend} divide them; leave these out, or use padding='reflect'."
        )
    return (height, width), 0, 0


def _check_channels(image: Image, card: ModelCard) -> None:
    samples = image.sizes.get("S", 1)
    if card.in_channels not in (1, samples) and not gray_through_colour(image, card):
        raise ModelError(
            f"{card.name} takes {card.in_channels} colour samples (axis S), the image has {samples} "
            f"(axes {image.axes}); use a one-channel model, or name the sample axis S in axes=."
        )
    if card.in_channels == 1 and card.out_channels != 1:
        raise ModelError(
            f"{card.name} makes {card.out_channels} channels of one; such a model cannot be run on arrays."
        )
    if min(image.shape) == 0:
        raise SourceError(f"{image.name} has no pixels: its shape is {image.shape}.")


def _check_samples(image: Image, card: ModelCard, lengths: dict[str, int], block: tuple[int, ...]) -> None:
    """Refuse blocks that part the colour samples that a network takes together."""
    in_block = dict(zip(image.canonical, block, strict=True))
    if card.in_channels > 1 and in_block.get("S", 0) < lengths.get("S", 0):
        raise RecipeError(f"{card.name} needs all {lengths['S']} colour samples in one chunk; do not divide axis S.")


def choose_tiling(image: Image, card: ModelCard, recipe: Recipe, room: int) -> tuple[int | tuple[int, int], int, int]:
    """Choose tile, halo and hand-over where they are open, for a network that may take `room` bytes."""
    tile = recipe.tile if recipe.tile is not None else _fitting_tile(image, card, recipe, room)
    halo = recipe.halo if recipe.halo is not None else _fitting_halo(card, tile)
    # A halo of the user's own choice still has to leave a stride on the network's grid: the hand-over gives way.
    return tile, halo, recipe.blend if recipe.blend is not None else _fitting_blend(card, halo)


def _fitting_tile(image: Image, card: ModelCard, recipe: Recipe, room: int) -> int:
    """Give the card's tile, twice as much where that saves halo and changes nothing else, or less if it must fit."""
    from napari_restore.engine.hardware.devices import cores

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


def choose_lanes(
    card: ModelCard, grid: TileGrid, recipe: Recipe, device: Device, room: int
) -> tuple[int, int | None, str]:
    """Choose how many batches are in the network at a time: on a CPU one for each core, if memory allows.

    Returns
    -------
    lanes, threads, why
        Threads in each lane, which on a CPU move the last bits: those of a run that is continued stay.
    """
    from napari_restore.engine.hardware.devices import cores

    if not device.is_cpu:
        return recipe.lanes or 1, None, "copies overlap computing"
    there = cores()
    fit = max(1, room // (tile_bytes(card, grid) * (recipe.batch or 1)))
    most = max(1, there // (recipe.threads or 1))
    lanes = recipe.lanes or min(most, fit)
    threads = recipe.threads or max(1, there // lanes)
    limit = ", as memory allows" if recipe.lanes is None and fit < most else ""
    words = (counted(lanes, "lane"), counted(threads, "thread"), counted(there, "core"))
    return lanes, threads, f"{words[0]} of {words[1]} on {words[2]}{limit}"


def fitting_batch(plan: Plan, room: int) -> int:
    """Choose how many tiles go through a GPU together, so that the last batch of a block is nearly full.

    On a CPU one is as fast as many.
    """
    if plan.device.is_cpu:
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
