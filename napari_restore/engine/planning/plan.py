"""Define the plan of a run: what is computed, how it is divided into blocks, and the text that describes it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from napari_restore.engine.hardware.device import Device, parse_devices
from napari_restore.engine.planning.blocks import tile_share, times_read, z_order
from napari_restore.engine.planning.memory import neighbour_axes, run_bytes, sample_bytes
from napari_restore.engine.planning.normalisation import Scale, missing_in_words, scales_of, validity_of
from napari_restore.engine.planning.recipe import Recipe
from napari_restore.engine.planning.result_shape import gray_through_colour
from napari_restore.engine.planning.source_identity import crop_digests
from napari_restore.fingerprint import digest
from napari_restore.html_page import fragment, table
from napari_restore.images.image import Image
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.writing.layout import WriteUnit, stored_order
from napari_restore.intensity.fusion import VERSION
from napari_restore.intensity.scaling import FILL_VERSION
from napari_restore.intensity.validity import Validity
from napari_restore.models.card import ModelCard
from napari_restore.tiling.grid import TileGrid
from napari_restore.wording import counted, human_bytes, human_shape

__all__ = ["Block", "Plan", "source_kind"]

Block = tuple[int, ...]
"""Index of a block along each axis, in canonical order. A block is stored as one `WriteUnit` of level 0."""

_BACKENDS = {None: "", "eager": "", "compiled": "compiled first, ", "openvino": "OpenVINO, "}
_LISTED = 12  # images of a file that a plan names at most


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan of a run; `print` shows it.

    Attributes
    ----------
    image : Image
        The source.
    card : ModelCard
        The model.
    recipe : Recipe
        Settings with all fields chosen. In the plan of a lazy result, normalisation and neighbours may be open.
    grid : TileGrid
        Tiles of a plane.
    shape : tuple of int
        Shape of the result, in canonical order.
    dtype : numpy.dtype
        Data type of the result.
    block : tuple of int
        Shape of a block, in canonical order. A block is computed and stored as a whole.
    levels : int
        Number of resolution levels of a stored result.
    spares : tuple of Device
        Devices that the run uses if the device of the recipe stops working; empty if the user named the device.
    why : dict of str to str
        Reason for a choice, in one clause, by row of the text.
    given : dict of str to Any
        Settings that were given and not chosen; see `Recipe.given`.
    warnings : tuple of str
        Differences between the image and what the model is trained for, with advice; found in the sample of the plan.
    prepares : bool
        Whether the run converts or compiles the network for its back end, which takes memory.
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
    warnings: tuple[str, ...] = ()
    prepares: bool = False

    @property
    def axes(self) -> str:
        """Axes of the result, in canonical order."""
        return self.image.canonical

    @property
    def devices(self) -> tuple[Device, ...]:
        """Devices of the run. A run on several devices has one process for each."""
        return parse_devices(self.recipe.device)

    @property
    def device(self) -> Device:
        """First device of the run, which a single process uses."""
        return self.devices[0]

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of blocks along each axis."""
        return tuple(-(-length // size) for length, size in zip(self.shape, self.block, strict=True))

    @property
    def blocks(self) -> int:
        """Number of blocks."""
        return math.prod(self.counts)

    def indices(self) -> Iterator[Block]:
        """Yield the indices of all blocks: plane by plane, and within a plane in Z-order.

        In Z-order, squares of 2, 4, 8, ... blocks are computed one after the other, so all blocks under a write unit of
        a coarser level are finished at about the same time.
        """
        y, x = self.axes.index("Y"), self.axes.index("X")
        for outer in np.ndindex(*(1 if i in (y, x) else n for i, n in enumerate(self.counts))):
            for row, column in z_order(self.counts[y], self.counts[x]):
                yield tuple(row if i == y else column if i == x else k for i, k in enumerate(outer))

    def region(self, index: Block) -> Region:
        """Return the region of the result that a block computes.

        Parameters
        ----------
        index : tuple of int
            Index of the block, in canonical order.

        Returns
        -------
        tuple of slice
            One slice per axis in canonical order, in pixels of the result.
        """
        return tuple(
            slice(i * size, min((i + 1) * size, length))
            for i, size, length in zip(index, self.block, self.shape, strict=True)
        )

    def unit_of(self, index: Block) -> WriteUnit:
        """Return the write unit that a block is stored as.

        Parameters
        ----------
        index : tuple of int
            Index of the block, in canonical order.

        Returns
        -------
        WriteUnit
            Write unit of level 0.
        """
        return WriteUnit(0, tuple(index[axis] for axis in stored_order(self.axes)))

    def block_of(self, unit: WriteUnit) -> Block:
        """Return the block that is stored as a write unit: the inverse of `unit_of`.

        Parameters
        ----------
        unit : WriteUnit
            Write unit of level 0.

        Returns
        -------
        tuple of int
            Index of the block, in canonical order.
        """
        order = stored_order(self.axes)
        return tuple(unit.index[order.index(axis)] for axis in range(len(order)))

    @property
    def repeats(self) -> int:
        """Number of times that a gray plane is repeated as input of a colour model; 1 otherwise."""
        return self.card.in_channels if gray_through_colour(self.image, self.card) else 1

    @cached_property
    def tiles_in_plane(self) -> int:
        """Number of tiles that all blocks of one plane compute; tiles that two blocks share count twice."""
        return round(self.tile_share * math.prod(self.grid.shape) / math.prod(self.grid.tile_shape))

    @property
    def read_share(self) -> float:
        """Bytes of the source that blocks read, halo and whole chunks included, divided by the bytes of the image."""
        return times_read(self.image, self.grid, *self._sizes(), self.card.scale)

    @property
    def tile_share(self) -> float:
        """Pixels of all tiles divided by the pixels of the image: the cost of halo, blending and borders of blocks."""
        return tile_share(self.grid, *self._sizes(), self.card.scale)

    @property
    def fuses(self) -> bool:
        """Whether neighbouring planes are averaged into each plane."""
        return bool(neighbour_axes(self.image, self.recipe))

    @cached_property
    def scales(self) -> tuple[Scale, ...]:
        """Normalisation: one for all channels, or one per channel."""
        return scales_of(self.recipe, self.card)

    @cached_property
    def validity(self) -> tuple[Validity, ...]:
        """Rule for missing pixels: one for all channels, or one per channel."""
        return validity_of(self.recipe)

    def with_image(self, image: Image) -> Plan:
        """Return this plan with another source of the same pixels; computed properties are kept.

        Parameters
        ----------
        image : Image
            The source, read in another way.

        Returns
        -------
        Plan
            The new plan.
        """
        made = replace(self, image=image)
        vars(made).update(scales=self.scales, validity=self.validity)
        return made

    def _sizes(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the shapes of a block and of the result, by axis."""
        return dict(zip(self.axes, self.block, strict=True)), dict(zip(self.axes, self.shape, strict=True))

    @property
    def tiles(self) -> int:
        """Number of tiles of the run."""
        planes = math.prod(n for axis, n in zip(self.axes, self.shape, strict=True) if axis in "TCZ")
        per_sample = self.image.sizes.get("S", 1) if self.card.in_channels == 1 else 1
        return planes * per_sample * self.tiles_in_plane

    @property
    def output_bytes(self) -> int:
        """Uncompressed bytes of level 0 of the result."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def memory_bytes(self) -> int:
        """Maximum host memory of the run in bytes, beyond Python, torch and the weights."""
        return max(run_bytes(self), sample_bytes(self.image))

    def with_settings(self, **settings: Any) -> Plan:
        """Return this plan with other settings.

        Parameters
        ----------
        **settings : Any
            Fields of the recipe that say how to run (`EXECUTION_FIELDS`), or that are open in this plan.

        Returns
        -------
        Plan
            The new plan.
        """
        return replace(self, recipe=self.recipe.model_copy(update=settings))

    def identity(self) -> dict[str, Any]:
        """Return everything that the stored result depends on, as JSON types."""
        return {
            "model_sha256": self.card.sha256,
            **({"denoiser_sha256": self.card.first.sha256} if self.card.first else {}),
            **({"fusion_version": VERSION} if self.fuses else {}),
            **({"fill_version": FILL_VERSION} if set(self.validity) != {Validity()} else {}),
            "recipe": {k: v for k, v in self.recipe.pixel_settings().items() if k not in ("model", "axes", "denoise")},
            "source": source_kind(self.image),
            "result": {"shape": self.shape, "dtype": self.dtype.name, "block": self.block, "levels": self.levels},
        }

    @cached_property
    def fingerprint(self) -> str:
        """Digest of `identity`: runs with the same fingerprint store the same pixels in the same objects."""
        return digest(self.identity())

    @cached_property
    def source_crops(self) -> dict[str, str]:
        """Digests of crops of the source; see `crop_digests`. The crops are read at the first access.

        They are not part of the fingerprint, as damaged parts of a source may be repaired before a run is resumed.
        """
        return crop_digests(self.image)

    def __str__(self) -> str:
        return "\n".join(f"{name:<11}{text}" for name, text in _rows(self))

    def _repr_html_(self) -> str:
        return fragment(table(_rows(self)))


def source_kind(image: Image) -> dict[str, Any]:
    """Return axes, shape and data type of a source, as JSON types."""
    return {"axes": image.axes, "shape": list(image.shape), "dtype": image.dtype.name}


def _times(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))


def _channels(plan: Plan) -> str:
    """Describe how the image's channels become the channels of the network."""
    if plan.repeats > 1:
        return f"gray, repeated {plan.repeats} times; the mean of the restored samples is the result"
    samples = plan.image.sizes.get("S", 1)
    if plan.card.in_channels == 1:
        return "restored one by one" + (f", and so are {samples} colour samples" if samples > 1 else "")
    return f"{samples} colour samples together"


def _values(plan: Plan) -> str:
    """Describe the normalisation."""
    recipe = plan.recipe
    if recipe.value_range is None:
        return "estimated at the first computation"
    shown = ", ".join(f"{low:g}..{high:g}" for low, high in recipe.value_range)
    if recipe.noise is None or recipe.intensity != "poisson-gaussian":
        return f"{shown} become 0..1 ({recipe.intensity})"
    cameras = "; ".join(
        f"gain {gain:.3g}, noise {sigma:.3g} at its darkest level {dark:.4g}" for gain, dark, sigma in recipe.noise
    )
    level = f"to {100 * plan.card.sigma:.2g} % of the range" if plan.card.sigma else f"with {shown} in 0..1"
    return f"{cameras}: noise stabilised, {level} (poisson-gaussian)"


def _series(plan: Plan) -> str:
    """Describe which image of a file is restored, and which others the file has."""
    names, count = plan.image.series_names, plan.image.series_count
    listed = [f"{number} {name!r}" for number, name in enumerate(names[:_LISTED]) if name]
    listed += [f"{count - _LISTED} more"] if len(listed) == _LISTED < count else []
    return f"{plan.recipe.series!r} of {count}" + (f": {', '.join(listed)}" if listed else "")


def _denoiser(plan: Plan) -> dict[str, str]:
    """Describe the denoiser that runs before the model; no row if none was asked for."""
    if plan.card.first is not None:
        return {"denoise": f"{plan.card.first.name} first, in the same run"}
    return {"denoise": "none"} if plan.why.get("denoise") else {}


def _uncertainty(recipe: Recipe) -> str:
    """Describe the uncertainty that is stored beside the result."""
    if not recipe.uncertainty:
        return ""
    if recipe.calibration is None:
        return "stored beside the result, calibrated at the start of the run"
    shown = "; ".join(f"{factor:.3g} times the spread, noise {read:.3g}" for factor, _, _, read in recipe.calibration)
    return f"stored beside the result: {shown} at the darkest level"


def _neighbours(plan: Plan) -> dict[str, str]:
    """Describe which planes are averaged into each plane; no row for images of single planes."""
    if not any(plan.image.sizes.get(axis, 1) > 1 for axis in "TZ"):
        return {}
    chosen = plan.recipe.neighbours
    if chosen is None:
        return {"neighbours": "chosen at the first computation"}
    if chosen.axis == "none":
        return {"neighbours": "none"}
    sides = " and ".join(dict.fromkeys(counted(chosen.along(axis), "plane") for axis in chosen.axis))
    told = f"{' and '.join(chosen.axis)}, {sides} on each side"
    return {"neighbours": told if chosen.strength == 1 else f"{told}, strength {chosen.strength:g}"}


def _rows(plan: Plan) -> list[tuple[str, str]]:
    """Describe a plan in one line for each topic, with units."""
    recipe, image, card, (tile_y, tile_x) = plan.recipe, plan.image, plan.card, plan.grid.tile_shape
    pixel = ", ".join(f"{a} {image.pixel_size[a]:g} {image.units.get(a, '')}".rstrip() for a in image.pixel_size)
    rows = {
        "source": f"{image.name}: {human_shape(image.canonical, image.shape)}, {image.dtype}, "
        f"{human_bytes(image.nbytes)}",
        **({"series": _series(plan)} if image.series_count > 1 else {}),
        "pixel size": pixel or "unknown",
        "model": card.summary(),
        **_denoiser(plan),
        "values": _values(plan),
        "missing": missing_in_words(plan.recipe),
        **(image.annotations.told(card.scale) if image.annotations else {}),
        "channels": _channels(plan),
        "strength": f"{100 * recipe.strength:.3g} % of the restored image, plus source" if recipe.strength < 1 else "",
        "ensemble": f"mean over {recipe.ensemble} flips and rotations of each tile" if recipe.ensemble == 8 else "",
        "uncertain": _uncertainty(recipe),
        **_neighbours(plan),
        "tiles": f"{tile_y} x {tile_x}, halo {recipe.halo}, blend {recipe.blend}; {plan.tiles} in total, "
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
    lines = [
        (name, f"{text} ({plan.why[name]})" if plan.why.get(name) else text) for name, text in rows.items() if text
    ]
    return [*lines, *(("note", note) for note in image.notes), *(("warning", warning) for warning in plan.warnings)]
