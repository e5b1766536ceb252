"""The plan of a run: what would be computed, how it is divided into blocks, and its text."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_restore.engine.hardware.device import Device, parse_devices
from napari_restore.engine.planning.blocks import tile_share, times_read
from napari_restore.engine.planning.memory import neighbour_axes, run_bytes
from napari_restore.engine.planning.normalisation import Scale, scales_of, validity_of
from napari_restore.engine.planning.recipe import Recipe, digest
from napari_restore.engine.planning.source_identity import crop_digests
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.writing.layout import WriteUnit, stored_order
from napari_restore.intensity.validity import Validity
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid
from napari_restore.wording import counted, human_bytes, human_shape

__all__ = ["Block", "Plan", "gray_through_colour", "result_shape", "source_kind"]

Block = tuple[int, ...]
"""Index of a block along each axis, in canonical order. In the result a block is one `WriteUnit` of level 0."""

_BACKENDS = {None: "", "eager": "", "compiled": "compiled first, ", "openvino": "OpenVINO, "}
"""How a plan names what runs the network."""
_LISTED = 12
"""So many images of a file are named in a plan."""


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
        Shape of a block, which is computed and stored as a whole, in canonical order.
    levels
        Resolution levels of a stored result.
    spares
        Devices that the run goes on with if the one of the recipe stops working: none if the user has named it.
    why
        What spoke for a choice, one clause each, by row of the text.
    given
        What of the recipe was given and not chosen, see `Recipe.given`.
    """

    image: Image
    card: ModelCard
    recipe: Recipe
    grid: TileGrid
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    block: tuple[int, ...]
    levels: int
    spares: tuple[Device, ...] = ()
    why: dict[str, str] = field(default_factory=dict)
    given: dict[str, Any] = field(default_factory=dict)

    @property
    def axes(self) -> str:
        """Letters of the result in canonical order."""
        return self.image.canonical

    @property
    def devices(self) -> tuple[Device, ...]:
        """Devices of the run: with more than one, a stored result is made by a process for each."""
        return parse_devices(self.recipe.device)

    @property
    def device(self) -> Device:
        """The only device, or what a single process uses of several: the first."""
        return self.devices[0]

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

    def region(self, index: Block) -> Region:
        """Pixels of the result that a block holds, in canonical order."""
        return tuple(
            slice(i * size, min((i + 1) * size, length))
            for i, size, length in zip(index, self.block, self.shape, strict=True)
        )

    def unit_of(self, index: Block) -> WriteUnit:
        """The write unit that a block is stored as."""
        return WriteUnit(0, tuple(index[axis] for axis in stored_order(self.axes)))

    def block_of(self, unit: WriteUnit) -> Block:
        """The index of the block that is stored as a write unit of level 0."""
        order = stored_order(self.axes)
        return tuple(unit.index[order.index(axis)] for axis in range(len(order)))

    @property
    def repeats(self) -> int:
        """How many times a gray plane is repeated to be the channels of a colour model; 1 otherwise."""
        return self.card.in_channels if gray_through_colour(self.image, self.card) else 1

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

    @property
    def fuses(self) -> bool:
        """Whether neighbouring planes are averaged into each plane."""
        return bool(neighbour_axes(self.image, self.recipe))

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """How values are brought to what the network was trained on: for each channel, or for all."""
        return scales_of(self.recipe, self.card)

    @cached_property
    def validity(self) -> tuple[Validity, ...]:
        """Which pixels are image: for each channel, or for all."""
        return validity_of(self.recipe)

    def reading(self, image: Image) -> Plan:
        """Give this plan with another way to read its source, and what was worked out for all channels only once."""
        made = replace(self, image=image)
        vars(made).update(scales=self.scales, validity=self.validity)
        return made

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
        return _described(self)


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


def gray_through_colour(image: Image, card: ModelCard) -> bool:
    """Tell whether gray planes go through a network for colour, repeated to be its channels."""
    return image.sizes.get("S", 1) == 1 and card.in_channels == card.out_channels > 1


def result_shape(image: Image, card: ModelCard) -> tuple[int, ...]:
    """Shape of the restored image, in canonical order."""
    factor = {"Y": card.scale, "X": card.scale}
    lengths = {axis: length * factor.get(axis, 1) for axis, length in image.sizes.items()}
    if card.in_channels > 1 and not gray_through_colour(image, card):
        lengths["S"] = card.out_channels
    return tuple(lengths[axis] for axis in image.canonical)


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


def _values(plan: Plan) -> str:
    """How values are brought to the network's."""
    recipe = plan.recipe
    if recipe.value_range is None:
        return "estimated when first computed"
    shown = ", ".join(f"{low:g}..{high:g}" for low, high in recipe.value_range)
    if recipe.noise is None or recipe.intensity != "poisson-gaussian":
        return f"{shown} become 0..1 ({recipe.intensity})"
    cameras = "; ".join(
        f"gain {gain:.3g}, noise {sigma:.3g} at its darkest level {dark:.4g}" for gain, dark, sigma in recipe.noise
    )
    level = f"to {100 * plan.card.sigma:.2g} % of the range" if plan.card.sigma else f"with {shown} in 0..1"
    return f"{cameras}: noise stabilised, {level} (poisson-gaussian)"


def _series(plan: Plan) -> str:
    """Which image of a file it is, and what others there are."""
    names, count = plan.image.series_names, plan.image.series_count
    listed = [f"{number} {name!r}" for number, name in enumerate(names[:_LISTED]) if name]
    more = [f"{count - _LISTED} more"] if len(listed) == _LISTED < count else []
    return f"{plan.recipe.series!r} of {count}" + (f": {', '.join([*listed, *more])}" if listed else "")


def _neighbours(plan: Plan) -> dict[str, str]:
    """Which planes are averaged into each; no line for images of single planes."""
    if not any(plan.image.sizes.get(axis, 1) > 1 for axis in "TZ"):
        return {}
    chosen = plan.recipe.neighbours
    if chosen is None:
        return {"neighbours": "chosen when first computed"}
    if chosen.axis == "none":
        return {"neighbours": "none"}
    strength = f", strength {chosen.strength:g}" if chosen.strength != 1 else ""
    return {"neighbours": f"{' and '.join(chosen.axis)}, {counted(chosen.planes, 'plane')} on each side{strength}"}


def _described(plan: Plan) -> str:
    """One line for each thing the run will use, with units."""
    recipe, image, card = plan.recipe, plan.image, plan.card
    pixel = ", ".join(f"{a} {image.pixel_size[a]:g} {image.units.get(a, '')}".rstrip() for a in image.pixel_size)
    tile_y, tile_x = plan.grid.tile_shape
    rows = {
        "source": f"{image.name}: {human_shape(image.canonical, image.shape)}, {image.dtype}, "
        f"{human_bytes(image.nbytes)}",
        **({"series": _series(plan)} if image.series_count > 1 else {}),
        "pixel size": pixel or "unknown",
        "model": card.summary(),
        "values": _values(plan),
        "no image": _no_image(plan),
        "channels": _channels(plan),
        **_neighbours(plan),
        "tiles": f"{tile_y} x {tile_x}, halo {recipe.halo}, hand-over {recipe.blend}; {plan.tiles} in all, "
        f"{plan.tile_share:.2f} times the pixels of the image"
        + (", padded as the authors do" if recipe.padding == "authors" else ""),
        "result": f"{human_shape(plan.axes, plan.shape)}, {plan.dtype}, {human_bytes(plan.output_bytes)} uncompressed, "
        f"{counted(plan.levels, 'level')}",
        "blocks": f"{plan.blocks} of {_times(plan.block)}, chunks {_times(recipe.chunks or ())}",
        "device": f"{recipe.device}, {recipe.precision}, {_BACKENDS[recipe.backend]}"
        f"batch {recipe.batch}, {recipe.workers} blocks in progress",
        "memory": f"at most {human_bytes(plan.memory_bytes)}"
        + (f" of {human_bytes(recipe.memory_budget)}" if recipe.memory_budget else ""),
    }
    lines = [f"{name:<11}{value}{_because(plan, name)}" for name, value in rows.items() if value]
    return "\n".join([*lines, *(f"{'note':<11}{note}" for note in image.notes)])


def _no_image(plan: Plan) -> str:
    """Say which values are no image, and what becomes of them; empty where all values are."""
    recipe = plan.recipe
    if recipe.valid_range is None or recipe.fill_values is None:
        return "found when first computed"
    fill = ", ".join(f"{number:g}" for number in dict.fromkeys(v for values in recipe.fill_values for v in values))
    pairs = ", ".join(f"{low:g}..{high:g}" for low, high in recipe.valid_range)
    parts = (
        f"fill {fill}, which comes back as it is" if fill else "",
        f"single pixels beyond {pairs} come back as they are, areas beyond have a range of their own" if pairs else "",
    )
    return "; ".join(part for part in parts if part)


def _because(plan: Plan, name: str) -> str:
    return f" ({plan.why[name]})" if plan.why.get(name) else ""
