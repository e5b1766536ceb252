"""The plan of a run: every open setting chosen, everything checked, nothing computed yet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_restore.engine.choices import choose_lanes, choose_tiling, choose_workers, fitting_batch, tile_reason
from napari_restore.engine.describe import described
from napari_restore.engine.intensity import Scale, choose_intensity, scales_of
from napari_restore.engine.layout import cheapest_layout, tile_share, times_read
from napari_restore.engine.memory import LIBRARIES, check_budget, run_bytes, tile_bytes
from napari_restore.engine.recipe import Recipe, digest
from napari_restore.engine.source_crops import crop_digests
from napari_restore.errors import ModelError, RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.pyramid import levels_for
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid, plane_grid

__all__ = ["Block", "Plan", "make_plan", "source_kind"]

Block = tuple[int, ...]
"""Index of a block along each axis, in canonical order."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What would run: `print` it to see it all.

    Attributes
    ----------
    image
        The source.
    card
        The model.
    recipe
        With every field chosen; only those of the intensity may still be open, in a plan for a lazy result.
    grid
        Tiles of a plane.
    shape, dtype
        Of the result, in canonical order.
    block
        Shape of a block: what one unit of work writes, in canonical order.
    levels
        Resolution levels of a stored result.
    spares
        Devices that the run goes on with if the one of the recipe stops working: none if the user has named it.
    why
        What spoke for a choice, one clause each, by row of the text.
    """

    image: Image
    card: ModelCard
    recipe: Recipe
    grid: TileGrid
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: tuple[int, ...]
    levels: int
    spares: tuple[str, ...] = ()
    why: dict[str, str] = field(default_factory=dict)

    @property
    def axes(self) -> str:
        """Letters of the result in canonical order."""
        return self.image.canonical

    @property
    def counts(self) -> tuple[int, ...]:
        """Blocks along each axis."""
        return tuple(-(-length // size) for length, size in zip(self.shape, self.block, strict=True))

    @property
    def blocks(self) -> int:
        """Blocks in all."""
        return math.prod(self.counts)

    def indices(self) -> Iterator[Block]:
        """Indices of all blocks: plane after plane, and within a plane in Z-order, squares of 2, 4, 8, ... blocks.

        What lies under a pixel of a coarser level is thus done at about the same time.
        """
        y, x = self.axes.index("Y"), self.axes.index("X")
        for outer in np.ndindex(*(1 if i in (y, x) else n for i, n in enumerate(self.counts))):
            for row, column in _z_order(self.counts[y], self.counts[x]):
                yield tuple(row if i == y else column if i == x else k for i, k in enumerate(outer))

    def region(self, index: Block) -> tuple[slice, ...]:
        """Pixels of the result that a block holds, in canonical order."""
        return tuple(
            slice(i * size, min((i + 1) * size, length))
            for i, size, length in zip(index, self.block, self.shape, strict=True)
        )

    @property
    def repeats(self) -> int:
        """How many times a gray plane is repeated to be the channels of a colour model; 1 otherwise."""
        return self.card.in_channels if _gray_through_colour(self.image, self.card) else 1

    @cached_property
    def tiles_in_plane(self) -> int:
        """Tiles that all blocks of one plane compute; tiles that two blocks share count twice."""
        return round(self.tile_share * math.prod(self.grid.shape) / math.prod(self.grid.tile_shape))

    @property
    def read_share(self) -> float:
        """Bytes of the source that blocks read, halo and whole chunks included, divided by the bytes of the image."""
        return times_read(self.image, self.grid, *self._sizes(), self.card.scale)

    @property
    def tile_share(self) -> float:
        """Pixels of all tiles, divided by the pixels of the image: what halo, hand-over and blocks' borders cost."""
        return tile_share(self.grid, *self._sizes(), self.card.scale)

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """How values are brought to what the network was trained on: for each channel, or for all."""
        return scales_of(self.recipe, self.card)

    def _sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Shape of a block and of the result, by axis."""
        return dict(zip(self.axes, self.block, strict=True)), dict(zip(self.axes, self.shape, strict=True))

    @property
    def tiles(self) -> int:
        """Tiles of the whole run."""
        planes = math.prod(n for axis, n in zip(self.axes, self.shape, strict=True) if axis in "TCZ")
        per_sample = self.image.sizes.get("S", 1) if self.card.in_channels == 1 else 1
        return planes * per_sample * self.tiles_in_plane

    @property
    def output_bytes(self) -> int:
        """Uncompressed bytes of the result's full-resolution level."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def memory_bytes(self) -> int:
        """Most bytes of the host's memory that the run holds at a time, beyond Python, torch and the weights."""
        return run_bytes(self)

    def with_settings(self, **settings: Any) -> Plan:
        """Give this plan with other settings that say how to run (`EXECUTION_FIELDS`), or that it left open."""
        return replace(self, recipe=self.recipe.model_copy(update=settings))

    def identity(self) -> dict[str, Any]:
        """Everything that the stored result is a function of, as JSON types."""
        return {
            "model_sha256": self.card.sha256,
            "recipe": {k: v for k, v in self.recipe.pixel_settings().items() if k not in ("model", "axes")},
            "source": source_kind(self.image),
            "result": {"shape": self.shape, "dtype": self.dtype.name, "block": self.block, "levels": self.levels},
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of `identity`: two runs of the same fingerprint store the same pixels in the same objects."""
        return digest(self.identity())

    @cached_property
    def source_crops(self) -> dict[str, str]:
        """What the source is known by, see `crop_digests`; a little of it is read when this is first asked for.

        It is not part of the fingerprint: what cannot be read of a source may be mended while a run goes on.
        """
        return crop_digests(self.image)

    def __str__(self) -> str:
        return described(self)


def source_kind(image: Image) -> dict[str, Any]:
    """Say what every image is like that can stand for a source, as JSON types."""
    return {"axes": image.axes, "shape": list(image.shape), "dtype": image.dtype.name}


def _z_order(rows: int, columns: int) -> Iterator[tuple[int, int]]:
    """Places of a rectangle in Z-order."""

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
    from napari_restore.engine.compiled import gains, pays
    from napari_restore.engine.predictor import (
        choose_device,
        choose_precision,
        devices_of,
        free_memory,
        spare_devices,
    )

    _check_channels(image, card)
    devices = choose_device(recipe.device)
    device = devices_of(devices)[0]  # each process is planned as if it were the only one
    free = free_memory("cpu")
    budget = recipe.memory_budget or free // 2
    # Of a budget of the user's own, which is kept, a part is for what is not the network.
    for_network = max(budget - LIBRARIES, 0) * 3 // 4 if recipe.memory_budget else budget
    room = for_network if device == "cpu" else free_memory(device) // 2
    tile, halo, blend = (
        _whole_plane(image, card, recipe) if recipe.padding == "authors" else choose_tiling(image, card, recipe, room)
    )
    grid = plane_grid(image.sizes["Y"], image.sizes["X"], tile=tile, halo=halo, blend=blend, alignment=card.alignment)
    intensity = choose_intensity(image, card, recipe, estimate=estimate)
    dtype = image.dtype if recipe.dtype == "same" else np.dtype(recipe.dtype)
    shape = result_shape(image, card)
    # A few blocks of three times their size (see `block_bytes`), beside what the network takes.
    network = tile_bytes(card, grid) if device == "cpu" else 0
    layout = cheapest_layout(image, card, grid, shape, dtype, recipe, device, max(budget - network - LIBRARIES, 0) // 9)
    _check_samples(image, card, dict(zip(image.canonical, shape, strict=True)), layout.block)
    lanes, why_lanes = choose_lanes(card, grid, recipe, device, room)
    chosen = {
        "axes": image.axes, "tile": tile, "halo": halo, "blend": blend, "device": devices, **intensity,
        "chunks": layout.chunks, "shards": None if recipe.ome_version == "0.4" else layout.block,
        "workers": recipe.workers or 1, "lanes": lanes, "batch": recipe.batch or 1,
        "precision": recipe.precision or choose_precision(card, device),
    }  # fmt: skip
    plan = Plan(
        image, card, recipe.model_copy(update=chosen), grid, shape, dtype, layout.block,
        levels_for(shape, image.canonical) if recipe.pyramid else 1,
        spare_devices(device) if recipe.device == "auto" else (),
        {"tiles": tile_reason(card, grid), "blocks": layout.why, "device": why_lanes},
    )  # fmt: skip
    plan = plan if recipe.batch else plan.with_settings(batch=fitting_batch(plan, room))
    plan = plan if recipe.workers else plan.with_settings(workers=choose_workers(plan, budget))
    wanted = pays(card, device, plan.tiles * math.prod(grid.tile_shape)) if recipe.compiled is None else recipe.compiled
    plan = plan.with_settings(compiled=wanted and gains(card, device))
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


def _gray_through_colour(image: Image, card: ModelCard) -> bool:
    return image.sizes.get("S", 1) == 1 and card.in_channels == card.out_channels > 1


def result_shape(image: Image, card: ModelCard) -> tuple[int, ...]:
    """Shape of the restored image, in canonical order."""
    factor = {"Y": card.scale, "X": card.scale}
    lengths = {axis: length * factor.get(axis, 1) for axis, length in image.sizes.items()}
    if card.in_channels > 1 and not _gray_through_colour(image, card):
        lengths["S"] = card.out_channels
    return tuple(lengths[axis] for axis in image.canonical)


def _check_channels(image: Image, card: ModelCard) -> None:
    samples = image.sizes.get("S", 1)
    if card.in_channels not in (1, samples) and not _gray_through_colour(image, card):
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
