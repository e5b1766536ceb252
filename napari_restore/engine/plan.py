"""The plan of a run: every open setting chosen, everything checked, nothing computed yet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_restore.engine.describe import human_bytes, human_shape
from napari_restore.engine.reading import patient
from napari_restore.engine.recipe import Recipe, digest
from napari_restore.engine.sample import estimate_ranges
from napari_restore.errors import ModelError, RecipeError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.pyramid import levels_for
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid, plane_grid

__all__ = ["Block", "Plan", "make_plan"]

Block = tuple[int, ...]
"""Index of a block along each axis, in canonical order."""

_BLOCK_BYTES = 32 * 2**20
_BLOCK_SIDE = 4096
_CHUNK_SIDE = 512
_UNSHARDED_CHUNK_SIDE = 1024
_FEWEST_BLOCKS = 16


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
        With every field chosen; only `value_range` may still be open, in a plan for a lazy result.
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
        """Indices of all blocks, in C order."""
        return np.ndindex(self.counts)

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
        s = self.card.scale

        def touched(axis: str) -> int:
            position = self.axes.index(axis)
            length, size = self.shape[position], self.block[position]
            tiling = self.grid.y if axis == "Y" else self.grid.x
            return sum(
                len(tiling.touching(start // s, -(-min(start + size, length) // s))) for start in range(0, length, size)
            )

        return touched("Y") * touched("X")

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
        """Most bytes the run holds at a time, as an estimate: blocks in progress and the network's working memory."""
        assert self.recipe.workers is not None and self.recipe.batch is not None
        s = self.card.scale
        pixels = math.prod(self.block)
        plane = self.block[self.axes.index("Y")] * self.block[self.axes.index("X")]
        source = pixels / s**2 * self.image.dtype.itemsize
        # Input, output, its encoded copy, and a float32 canvas with its float64 copy on the way to the data type.
        one = source + 2 * pixels * self.dtype.itemsize + plane * (4 + 8)
        network = self.recipe.batch * math.prod(self.grid.tile_shape) * self.card.bytes_per_pixel
        return int(self.recipe.workers * one + network)

    def identity(self) -> dict[str, Any]:
        """Everything that the stored result is a function of, as JSON types."""
        return {
            "model_sha256": self.card.sha256,
            "recipe": {k: v for k, v in self.recipe.pixel_settings().items() if k not in ("model", "axes")},
            "source": {"axes": self.image.axes, "shape": self.image.shape, "dtype": self.image.dtype.name},
            "result": {"shape": self.shape, "dtype": self.dtype.name, "block": self.block, "levels": self.levels},
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of `identity`: two runs of the same fingerprint store the same pixels in the same objects."""
        return digest(self.identity())

    def __str__(self) -> str:
        return _description(self)


def make_plan(image: Image, card: ModelCard, recipe: Recipe, *, estimate: bool = True) -> Plan:
    """Choose every open setting of a recipe and check that the run is possible.

    Parameters
    ----------
    image, card
        Source and model.
    recipe
        Settings; open ones (None) are chosen here.
    estimate
        Read an even sample of the image for its value range; without it that may stay open.

    Raises
    ------
    RecipeError, ModelError, SourceError
        If a setting does not fit the model or the image.
    """
    from napari_restore.engine.compiled import pays
    from napari_restore.engine.predictor import choose_device, choose_precision, spare_devices

    _check_channels(image, card)
    device = choose_device(recipe.device)
    tile, halo, blend = (
        _whole_plane(image, card, recipe) if recipe.padding == "authors" else _tiling(card, recipe, device)
    )
    grid = plane_grid(image.sizes["Y"], image.sizes["X"], tile=tile, halo=halo, blend=blend, alignment=card.alignment)
    ranges = recipe.value_range
    if ranges is None and estimate:
        # A disk that fails for a moment is asked again here too; a chunk that is damaged is not part of the sample.
        ranges = estimate_ranges(patient(image, "raise", ()), skip_damaged=recipe.on_error == "fill")
    if ranges is not None and len(ranges) not in (1, image.sizes.get("C", 1)):
        raise RecipeError(
            f"value_range has {len(ranges)} pairs, but the image has {image.sizes.get('C', 1)} channels; "
            "give one pair for all or one for each."
        )
    dtype = image.dtype if recipe.dtype == "same" else np.dtype(recipe.dtype)
    shape = result_shape(image, card)
    chunks, block = _layout(image.canonical, shape, dtype, recipe, card)
    chosen = {
        "axes": image.axes, "tile": tile, "halo": halo, "blend": blend, "value_range": ranges, "device": device,
        "chunks": chunks, "shards": None if recipe.ome_version == "0.4" else block,
        "workers": recipe.workers or 2, "batch": recipe.batch or _fitting_batch(grid, card, device),
        "precision": recipe.precision or choose_precision(card, device),
    }  # fmt: skip
    plan = Plan(
        image, card, recipe.model_copy(update=chosen), grid, shape, dtype, block,
        levels_for(shape, image.canonical) if recipe.pyramid else 1,
        spare_devices(device) if recipe.device == "auto" else (),
    )  # fmt: skip
    later = {
        "workers": recipe.workers or _workers(plan),
        "compiled": pays(card, device, plan.tiles * math.prod(grid.tile_shape))
        if recipe.compiled is None
        else recipe.compiled,
    }
    return replace(plan, recipe=plan.recipe.model_copy(update=later))


def _tiling(card: ModelCard, recipe: Recipe, device: str) -> tuple[int | tuple[int, int], int, int]:
    """Choose tile, halo and hand-over where they are open."""
    tile = recipe.tile if recipe.tile is not None else _fitting_tile(card, device)
    halo = recipe.halo if recipe.halo is not None else _fitting_halo(card, tile)
    # A halo of the user's own choice still has to leave a stride on the network's grid: the hand-over gives way.
    return tile, halo, recipe.blend if recipe.blend is not None else _fitting_blend(card, halo)


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


def _fitting_tile(card: ModelCard, device: str) -> int:
    """Give the card's tile, or the largest smaller one that uses at most half of the free memory."""
    from napari_restore.engine.predictor import free_memory

    tile, room = card.tile, free_memory(device) // 2
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


def _fitting_batch(grid: TileGrid, card: ModelCard, device: str) -> int:
    """Choose the largest power of two of tiles within half of the free memory; on CPU one is as fast as many."""
    from napari_restore.engine.predictor import free_memory

    if device == "cpu":
        return 1
    one = math.prod(grid.tile_shape) * card.bytes_per_pixel
    most = min(grid.count, 16, max(1, free_memory(device) // 2 // one))
    return int(2 ** math.floor(math.log2(most)))


def _workers(plan: Plan) -> int:
    """Choose how many blocks are in progress: one computing, one reading or writing, a third if memory allows."""
    from napari_restore.engine.predictor import free_memory

    most = min(3, plan.blocks)
    while most > 1 and replace(
        plan, recipe=plan.recipe.model_copy(update={"workers": most})
    ).memory_bytes > 0.25 * free_memory("cpu"):
        most -= 1
    return most


def _layout(
    axes: str, shape: tuple[int, ...], dtype: np.dtype[Any], recipe: Recipe, card: ModelCard
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Choose the shapes of a chunk and of a block (a stored object), or check those given."""
    lengths = dict(zip(axes, shape, strict=True))
    side = _UNSHARDED_CHUNK_SIDE if recipe.ome_version == "0.4" else _CHUNK_SIDE
    chunk = {a: min(lengths[a], side) if a in "YX" else (lengths[a] if a == "S" else 1) for a in axes}
    if recipe.chunks is not None:
        chunk = dict(zip(axes, _checked(recipe.chunks, axes, "chunks"), strict=True))
    if recipe.ome_version == "0.4":
        if recipe.shards is not None:
            raise RecipeError("shards need OME-Zarr 0.5; leave them out or use ome_version='0.5'.")
        block = dict(chunk)
    elif recipe.shards is not None:
        block = dict(zip(axes, _checked(recipe.shards, axes, "shards"), strict=True))
        if any(block[a] % chunk[a] for a in axes):
            raise RecipeError(
                f"shards {recipe.shards} are not multiples of the chunks {tuple(chunk.values())} along every axis "
                f"of {axes}; change one of them."
            )
    else:
        block = _default_block(axes, lengths, chunk, dtype)
    if card.in_channels > 1 and block.get("S", 0) < lengths.get("S", 0):
        raise RecipeError(f"{card.name} needs all {lengths['S']} colour samples in one chunk; do not divide axis S.")
    return tuple(chunk.values()), tuple(block.values())


def _default_block(axes: str, lengths: dict[str, int], chunk: dict[str, int], dtype: np.dtype[Any]) -> dict[str, int]:
    """Whole planes up to 4096 x 4096, and as many of them along Z as make 32 MiB but leave 16 blocks."""
    block = dict(chunk)
    for axis in "YX":
        block[axis] = min(-(-lengths[axis] // chunk[axis]), max(1, _BLOCK_SIDE // chunk[axis])) * chunk[axis]
    if "Z" in axes:
        all_blocks = math.prod(-(-lengths[axis] // block[axis]) for axis in axes)
        by_size = _BLOCK_BYTES // (math.prod(block.values()) * dtype.itemsize)
        planes = max(1, min(by_size, lengths["Z"], all_blocks // _FEWEST_BLOCKS))
        block["Z"] = planes // chunk["Z"] * chunk["Z"] or chunk["Z"]
    return block


def _checked(sizes: tuple[int, ...], axes: str, name: str) -> tuple[int, ...]:
    if len(sizes) != len(axes) or min(sizes) < 1:
        raise RecipeError(f"{name} {sizes} must be one positive length for each axis of the result, {axes}.")
    return sizes


def _times(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))


def _channels(plan: Plan) -> str:
    """How the image's channels become the network's."""
    if plan.repeats > 1:
        return f"gray, {plan.repeats} times over; the mean of what comes back"
    samples = plan.image.sizes.get("S", 1)
    if plan.card.in_channels == 1:
        return "each on its own" + (f", and each of {samples} colour samples" if samples > 1 else "")
    return f"{samples} colour samples together"


def _description(plan: Plan) -> str:
    """One line for each thing the run will use, with units."""
    recipe, image, card = plan.recipe, plan.image, plan.card
    pixel = ", ".join(f"{a} {image.pixel_size[a]:g} {image.units.get(a, '')}".rstrip() for a in image.pixel_size)
    ranges = recipe.value_range
    shown = "estimated when first computed" if ranges is None else ", ".join(f"{a:g}..{b:g}" for a, b in ranges)
    tile_y, tile_x = plan.grid.tile_shape
    per_plane = plan.tiles_in_plane * tile_y * tile_x / (image.sizes["Y"] * image.sizes["X"])
    rows = {
        "source": f"{image.name}: {human_shape(image.canonical, image.shape)}, {image.dtype}, "
        f"{human_bytes(image.nbytes)}",
        "pixel size": pixel or "unknown",
        "model": card.summary(),
        "values": f"{shown} become 0..1",
        "channels": _channels(plan),
        "tiles": f"{tile_y} x {tile_x}, halo {recipe.halo}, hand-over {recipe.blend}; {plan.tiles} in all, "
        f"{per_plane:.2f} times the pixels of the image"
        + (", padded as the authors do" if recipe.padding == "authors" else ""),
        "result": f"{human_shape(plan.axes, plan.shape)}, {plan.dtype}, {human_bytes(plan.output_bytes)} uncompressed, "
        f"{plan.levels} level{'s' if plan.levels > 1 else ''}",
        "blocks": f"{plan.blocks} of {_times(plan.block)}, chunks {_times(recipe.chunks or ())}",
        "device": f"{recipe.device}, {recipe.precision}, {'compiled first, ' if recipe.compiled else ''}"
        f"batch {recipe.batch}, {recipe.workers} blocks in progress",
        "memory": f"about {human_bytes(plan.memory_bytes)}",
    }
    return "\n".join(f"{name:<11}{value}" for name, value in rows.items())
