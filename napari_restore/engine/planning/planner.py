"""Make the plan of a run: choose its open settings by model, image, device and memory, and check all settings."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from napari_restore.engine.hardware.device import CPU, Device
from napari_restore.engine.planning.blocks import cheapest_layout
from napari_restore.engine.planning.choices.denoiser import choose_denoiser
from napari_restore.engine.planning.choices.neighbours import Chosen, choose_neighbours
from napari_restore.engine.planning.choices.tiles import check_positions, choose_tiling, choose_windows, tile_reason
from napari_restore.engine.planning.memory import (
    LIBRARIES,
    check_budget,
    check_sample,
    decoding_bytes,
    run_bytes,
    tile_bytes,
)
from napari_restore.engine.planning.noise_fit import plan_noise_fit
from napari_restore.engine.planning.normalisation import choose_intensity, needs_sample
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.result_shape import gray_through_colour, result_shape
from napari_restore.errors import ModelError, RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.writing.pyramid import levels_for
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid, plane_grid
from napari_restore.ways_out import WayOut
from napari_restore.wording import counted

__all__ = ["choose_lanes", "choose_workers", "fitting_batch", "make_plan"]

_MOST_WORKERS = {"cpu": 3, "cuda": 8}
"""Blocks in progress, by kind of device. A pixel takes 70 ns of a core besides the network (docs/performance.md), and a
GPU restores 20 to 50 megapixels per second: three blocks, which three cores read and write, kept an H100 at 52."""
_LARGEST_BATCH = 16


def make_plan(image: Image, card: ModelCard, recipe: Recipe, *, estimate: bool = True) -> Plan:
    """Choose the open settings of a recipe, and check that the run is possible.

    Parameters
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    recipe : Recipe
        Settings; fields that are None are chosen.
    estimate : bool
        Whether to read a sample of the image to estimate its value range and noise. Otherwise they may stay open.

    Returns
    -------
    Plan
        The plan.

    Raises
    ------
    RecipeError, ModelError, SourceError
        If a setting does not fit the model, the image or the memory.
    """
    from napari_restore.engine.hardware.backends import Choice, choose_backend
    from napari_restore.engine.hardware.devices import choose_devices, free_memory, spare_devices
    from napari_restore.engine.hardware.host_memory import return_free_memory
    from napari_restore.engine.hardware.precision import choose_precision

    _check_channels(image, card)
    _check_strength(card, recipe)
    _check_uncertainty(card, recipe)
    free = free_memory(CPU)
    check_sample(image, recipe.memory_budget, free, sampled=estimate and needs_sample(card, recipe))
    intensity = choose_intensity(image, card, recipe, estimate=estimate)
    denoiser = choose_denoiser(image, card, recipe, intensity)
    card, window = choose_windows(denoiser.card, recipe)
    devices = choose_devices(recipe.device)
    device = devices[0]  # with several devices, each process is planned as if it were the only one
    budget = recipe.memory_budget or free // 2
    # A budget that the user gave is never exceeded, so a part of it is reserved for everything but the network.
    for_network = max(budget - LIBRARIES, 0) * 3 // 4 if recipe.memory_budget else budget
    room = for_network if device.is_cpu else free_memory(device) // 2
    tile, halo, blend = (
        _whole_plane(image, card, recipe)
        if recipe.padding == "authors"
        else choose_tiling(image, card, recipe, room, device)
    )
    grid = plane_grid(image.sizes["Y"], image.sizes["X"], tile=tile, halo=halo, blend=blend, alignment=card.alignment)
    check_positions(card, grid)
    near = choose_neighbours(image, card, recipe, intensity) if estimate else Chosen(recipe.neighbours, "")
    dtype = image.dtype if recipe.dtype == "same" else np.dtype(recipe.dtype)
    shape = result_shape(image, card)
    # Memory for about three blocks, which take three times their size each (see `block_bytes`), besides the network.
    network = tile_bytes(card, grid) if device.is_cpu else 0
    one_chunk = decoding_bytes(image, dict.fromkeys(image.sizes, 1))
    room_for_blocks = max(budget - network - LIBRARIES - one_chunk, 0) // 9
    layout = cheapest_layout(image, card, grid, shape, dtype, recipe, device, room_for_blocks)
    _check_samples(image, card, dict(zip(image.canonical, shape, strict=True)), layout.block)
    lanes, threads, why_lanes = choose_lanes(card, grid, recipe, device, room)
    chosen = {
        "axes": image.axes, "series": _series_number(image, recipe.series),
        "attention_window": window, "tile": tile, "halo": halo, "blend": blend, **intensity.settings,
        "neighbours": near.neighbours, "denoise": denoiser.name,
        "chunks": layout.chunks, "shards": None if recipe.ome_version == "0.4" else layout.block,
        "device": ",".join(map(str, devices)), "workers": recipe.workers or 1, "lanes": lanes, "threads": threads,
        "batch": recipe.batch or 1, "precision": recipe.precision or choose_precision(card, device),
        "ensemble": recipe.ensemble or (8 if recipe.uncertainty else 1),
        "calibration": recipe.calibration if recipe.uncertainty else None,
    }  # fmt: skip
    plan = Plan(
        image, card, recipe.model_copy(update=chosen), grid, shape, dtype, layout.block,
        levels_for(shape, image.canonical) if recipe.pyramid else 1,
        spare_devices(device) if recipe.device == "auto" else (),
        {"tiles": tile_reason(card, grid), "blocks": layout.why, "missing": intensity.why,
         "neighbours": near.why, "denoise": denoiser.why},
    )  # fmt: skip
    plan = plan if recipe.batch else plan.with_settings(batch=fitting_batch(plan, room))
    plan = plan if recipe.workers else plan.with_settings(workers=choose_workers(plan, budget))
    batch = (plan.recipe.batch or 1, card.in_channels, *grid.tile_shape)
    pixels = plan.tiles * math.prod(grid.tile_shape) * (plan.recipe.ensemble or 1)
    backend = choose_backend(card, device, plan.recipe.precision or "float32", batch, pixels, recipe.backend)
    prepared = replace(plan.with_settings(backend=backend.name), prepares=backend.prepares)
    if backend.prepares and recipe.backend is None and run_bytes(prepared) > budget:
        backend = Choice("eager", f"preparing the network for {backend.name} takes more memory than there is")
        prepared = plan.with_settings(backend="eager")
    plan = replace(prepared, why={**plan.why, "device": "; ".join(filter(None, (why_lanes, backend.why)))})
    check_budget(plan, free)
    if any(estimate is not None for estimate in intensity.noise):
        plan = replace(plan, warnings=plan_noise_fit(plan, intensity.noise).warnings)
    if recipe.calibration is not None and not recipe.uncertainty:
        unused = "the calibration of an uncertainty is not used, because no uncertainty is stored"
        plan = replace(plan, warnings=(*plan.warnings, unused))
    return_free_memory()  # the sample's, which the run would not use again
    return plan


def _series_number(image: Image, series: int | str) -> int | str:
    """Return the number of the image in its file, so that name and number are the same setting."""
    if isinstance(series, int):
        return series
    if series in image.series_names:
        return image.series_names.index(series)
    return int(series) if series.isdecimal() else 0 if image.series_count == 1 else series


def _whole_plane(image: Image, card: ModelCard, recipe: Recipe) -> tuple[tuple[int, int], int, int]:
    """Return the whole plane as the tile, without halo and blending, for the authors' padding."""
    height, width = (-(-image.sizes[axis] // card.alignment) * card.alignment for axis in "YX")
    if recipe.tile not in (None, (height, width)) or recipe.halo or recipe.blend:
        raise RecipeError(
            f"the padding 'authors' restores whole planes ({height} x {width} here), but tile {recipe.tile}, "
            f"halo {recipe.halo}, blend {recipe.blend} divide them",
            WayOut(
                "leave these out, or use padding='reflect'.",
                "leave these out, or use --padding reflect.",
                "set Tile, Halo and Blend to auto, or Padding to reflect.",
            ),
        )
    return (height, width), 0, 0


def _check_channels(image: Image, card: ModelCard) -> None:
    samples = image.sizes.get("S", 1)
    if card.in_channels not in (1, samples) and not gray_through_colour(image, card):
        raise ModelError(
            f"{card.name} takes {card.in_channels} colour samples (axis S), the image has {samples} "
            f"(axes {image.axes}); use a one-channel model",
            WayOut(
                "or name the sample axis S in axes=.", "or name the sample axis S in --axes.", "or name it S in Axes."
            ),
        )
    if card.in_channels == 1 and card.out_channels != 1:
        raise ModelError(
            f"{card.name} has 1 input channel and {card.out_channels} output channels, which is not supported; use "
            "another model."
        )
    if min(image.shape) == 0:
        raise SourceError(f"{image.name} has no pixels: its shape is {image.shape}.")


def _check_strength(card: ModelCard, recipe: Recipe) -> None:
    if recipe.strength != 1 and card.scale > 1:
        raise RecipeError(
            f"strength {recipe.strength:g} mixes the result with the source, and {card.name} makes {card.scale} times "
            "as many pixels along Y and X",
            WayOut(
                "leave out strength=, or use a model that keeps the number of pixels.",
                "leave out --strength, or use a model that keeps the number of pixels.",
                "drop the strength of the recipe, or use Denoise.",
            ),
        )


def _check_uncertainty(card: ModelCard, recipe: Recipe) -> None:
    if not recipe.uncertainty:
        return
    if card.scale > 1:
        raise RecipeError(
            f"uncertainty is calibrated with noise that is added to restored pixels, and {card.name} makes other "
            "pixels than those of the source",
            WayOut("leave out uncertainty=, or use a denoiser.", "leave out --uncertainty, or use a denoiser.",
                   "untick Uncertainty, or use Denoise."),
        )  # fmt: skip
    if recipe.strength != 1:
        raise RecipeError(
            f"uncertainty is that of the restored image, and strength {recipe.strength:g} mixes it with the noisy "
            "source",
            WayOut("leave out strength= or uncertainty=.", "leave out --strength or --uncertainty.",
                   "set Strength to 100 %, or untick Uncertainty."),
        )  # fmt: skip
    if recipe.ensemble == 1:
        raise RecipeError(
            "uncertainty is made from the eight results of an ensemble, and ensemble is 1",
            WayOut("leave out ensemble=, or use ensemble=8.", "leave out --ensemble, or use --ensemble 8.",
                   "set Ensemble to 8."),
        )  # fmt: skip


def _check_samples(image: Image, card: ModelCard, lengths: dict[str, int], block: tuple[int, ...]) -> None:
    """Refuse blocks that divide the colour samples, if the network takes them together."""
    in_block = dict(zip(image.canonical, block, strict=True))
    if card.in_channels > 1 and in_block.get("S", 0) < lengths.get("S", 0):
        raise RecipeError(f"{card.name} needs all {lengths['S']} colour samples in one chunk; do not divide axis S.")


def choose_lanes(
    card: ModelCard, grid: TileGrid, recipe: Recipe, device: Device, room: int
) -> tuple[int, int | None, str]:
    """Choose the number of concurrent batches: on a CPU, one per core if memory allows.

    Returns
    -------
    lanes : int
        Number of concurrent batches.
    threads : int or None
        CPU threads per batch; None on a GPU. They change the last bits of a result, so a resumed run keeps them.
    why : str
        Reason for the choice, in one clause.
    """
    from napari_restore.engine.hardware.devices import cores

    if not device.is_cpu:
        return recipe.lanes or 1, None, "copies overlap computation"
    available = cores()
    fit = max(1, room // (tile_bytes(card, grid) * (recipe.batch or 1)))
    most = max(1, available // (recipe.threads or 1))
    lanes = recipe.lanes or min(most, fit)
    threads = recipe.threads or max(1, available // lanes)
    limit = ", limited by memory" if recipe.lanes is None and fit < most else ""
    batches = "1 batch" if lanes == 1 else f"{lanes} concurrent batches"
    why = f"{batches} with {counted(threads, 'thread')} each on {counted(available, 'core')}{limit}"
    return lanes, threads, why


def fitting_batch(plan: Plan, room: int) -> int:
    """Choose the batch: 1 on a CPU, where larger batches are not faster; on a GPU, one that divides a block evenly."""
    if plan.device.is_cpu:
        return 1
    most = min(_LARGEST_BATCH, max(1, room // tile_bytes(plan.card, plan.grid)))
    tiles = max(1, round(plan.tiles / plan.blocks))
    # The last batch is padded, which costs time; small batches do not use the whole device.
    return min(range(-(-most // 2), most + 1), key=lambda batch: (-(-tiles // batch) * batch, -batch))


def choose_workers(plan: Plan, budget: int) -> int:
    """Choose the number of blocks in progress: one computed, one read, one written; fewer if memory is short.

    On a GPU that computes faster than one core reads and writes, several are read and written: one on each core.
    """
    from napari_restore.engine.hardware.devices import cores

    fewest = _MOST_WORKERS["cpu"]
    most = min(max(fewest, min(cores(), _MOST_WORKERS.get(plan.device.kind, fewest))), plan.blocks)
    while most > 1 and run_bytes(plan.with_settings(workers=most)) > budget:
        most -= 1
    return most
