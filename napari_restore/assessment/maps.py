"""Keep the maps of an assessment: in an OME-Zarr group beside the pixels, or in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from napari_restore.assessment.blocks import KINDS, Assessed, block_steps
from napari_restore.assessment.pairing import Paired
from napari_restore.errors import OutputError
from napari_restore.images.axes import canonical_axes
from napari_restore.images.geometry import Sampling
from napari_restore.images.image import Image
from napari_restore.images.store import as_location, place_of
from napari_restore.images.writing import ome_zarr
from napari_restore.images.writing.layout import WriteUnit
from napari_restore.images.writing.pyramid import downsample_extremes, downsample_unit, levels_for
from napari_restore.images.writing.unit_writer import UnitWriter
from napari_restore.quality.structure import WINDOW
from napari_restore.ways_out import REPLACE

__all__ = ["ASSESSMENT", "InMemory", "Maps", "Stored", "place_in_result"]

ASSESSMENT = "assessment"
"""Name of the group in a result, and key of its attributes."""
RESIDUAL, SIGNIFICANCE = "residual", "significance"
REPORT = "assessment.json"
"""Name of the report, which is written last."""
_STEPS = 32.0
"""Scores are stored in steps of 1/32 of a standard deviation, so that they can be compressed."""


class Maps:
    """Maps that are not kept, and base of those that are."""

    location: str | None = None
    """Path or URL where they are stored."""

    def write(self, found: Assessed) -> None:
        """Keep the maps of a block."""

    def finish(self) -> None:
        """Compute what depends on all blocks."""

    def put(self, name: str, text: str) -> None:
        """Keep a text beside the maps."""

    def arrays(self) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.float32] | None]:
        """Return both maps if they are in memory."""
        return None, None


class InMemory(Maps):
    """Maps of an image in memory.

    Parameters
    ----------
    paired : Paired
        The images.
    """

    def __init__(self, paired: Paired) -> None:
        sizes = paired.sizes
        whole = tuple(sizes[axis] for axis in "TCZYX")
        self._stack = paired.stack
        self._axes = paired.source.canonical.replace("S", "C")
        self._residual = np.zeros(whole, np.float32)
        self._significance = np.zeros((*whole[:3], *_windows(whole[3:])), np.float32)

    def write(self, found: Assessed) -> None:
        """Keep the maps of a block."""
        for map_, values, step in ((self._residual, found.score, 1), (self._significance, found.significance, WINDOW)):
            region = _region(found, self._stack, step)
            map_[region] = values.reshape(map_[region].shape)

    def arrays(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return both maps in the axes of the source, TCZYX without those that it does not have."""
        away = tuple(number for number, axis in enumerate("TCZYX") if axis not in self._axes)
        return self._residual.squeeze(away), self._significance.squeeze(away)


class Stored(Maps):
    """Maps in a Zarr group: `residual` on the pixels of the source, and `significance` with a pixel for each window.

    Both have coarser levels. A pixel of these has the value of the largest magnitude of 2 x 2 pixels.

    Parameters
    ----------
    location : str or Path
        Path or URL of the group.
    paired : Paired
        The images.
    overwrite : bool
        Replace an assessment that is there.

    Raises
    ------
    OutputError
        If something is there that must not be replaced, or it cannot be written.
    """

    def __init__(self, location: str | Path, paired: Paired, *, overwrite: bool = False) -> None:
        self._place = place_of(as_location(location))
        self._folder = str(self._place.location).rstrip("/")
        self.location = self._folder
        self._stack, self._sizes = paired.stack, paired.sizes
        self._make_room(overwrite)
        try:
            zarr.create_group(self._place.location, attributes={ASSESSMENT: {"kinds": list(KINDS), "window": WINDOW}})
        except OSError as error:
            raise OutputError(
                f"{self.location} cannot be written: {error}; choose a place with write access."
            ) from error
        image = paired.source
        axes = canonical_axes(image.canonical.replace("S", "C"))
        self._axes = axes
        steps = block_steps(paired)
        self._levels: dict[str, int] = {}
        for name, step in ((RESIDUAL, 1), (SIGNIFICANCE, WINDOW)):
            samplings = _samplings(image, step)
            lengths = {axis: -(-n // step) if axis in "YX" else n for axis, n in self._sizes.items()}
            chunks = {axis: steps[axis] // step if axis in "YX" else steps[axis] for axis in axes}
            shape = [lengths[axis] for axis in axes]
            self._levels[name] = levels_for(shape, axes)
            ome_zarr.create(
                self._child(name), shape=shape, dtype=np.float32, axes=axes, levels=self._levels[name],
                chunks=[min(chunks[axis], lengths[axis]) for axis in axes], name=name,
                pixel_size={axis: one.pixel_size for axis, one in samplings.items()},
                origin={axis: one.origin for axis, one in samplings.items()}, units=dict(image.units), attributes={},
                reduction="extreme",
            )  # fmt: skip
        self._writers = {name: UnitWriter(self._child(name)) for name in (RESIDUAL, SIGNIFICANCE)}

    def _child(self, name: str) -> str:
        return f"{self._folder}/{name}"

    def _make_room(self, overwrite: bool) -> None:
        if self._place.holds() == "nothing":
            return
        ours = self._place.has(RESIDUAL) and _is_assessment(self._place.location)
        if not ours:
            raise OutputError(f"{self.location} exists and is no assessment; choose another folder.")
        if not overwrite and self._place.stores(REPORT):  # without a report, the assessment was interrupted
            raise OutputError(f"{self.location} holds an assessment already", REPLACE)
        self._place.delete()

    def write(self, found: Assessed) -> None:
        """Keep the maps of a block: one stored object each."""
        values = {RESIDUAL: np.rint(found.score * _STEPS) / np.float32(_STEPS), SIGNIFICANCE: found.significance}
        for name, step in ((RESIDUAL, 1), (SIGNIFICANCE, WINDOW)):
            region = dict(zip("TCZYX", _region(found, self._stack, step), strict=True))
            array = self._writers[name].level(0)
            index = tuple(region[axis].start // chunk for axis, chunk in zip(self._axes, array.chunks, strict=True))
            shape = tuple(region[axis].stop - region[axis].start for axis in self._axes)
            self._writers[name].write(WriteUnit(0, index), values[name].astype(np.float32).reshape(shape))

    def finish(self) -> None:
        """Compute the coarser levels."""
        for name, writer in self._writers.items():
            for level in range(1, self._levels[name]):
                for index in np.ndindex(ome_zarr.unit_counts(writer.level(level))):
                    downsample_unit(writer, WriteUnit(level, index), downsample_extremes)

    def put(self, name: str, text: str) -> None:
        """Keep a text beside the maps."""
        self._place.put(name, text.encode(errors="backslashreplace"))


def place_in_result(result: Image) -> str | None:
    """Return where the assessment of a result is stored: in its OME-Zarr, if this package wrote it.

    Parameters
    ----------
    result : Image
        The result.

    Returns
    -------
    str or None
        Path or URL; None for images in memory and results of other tools.

    Raises
    ------
    OutputError
        If the run that writes the result has not ended.
    """
    if result.location is None or "::" in result.location:
        return None
    try:
        attributes = ome_zarr.read_attributes(result.location)
    except OutputError:
        return None
    if not attributes or "recipe" not in attributes:
        return None
    lacking = int((~ome_zarr.stored_units(result.location, 0)).sum())
    if lacking:
        raise OutputError(
            f"{result.location} is not complete: {lacking} blocks are not stored; run the same again to complete it, "
            "then assess it."
        )
    return f"{result.location.rstrip('/')}/{ASSESSMENT}"


def _is_assessment(location: Any) -> bool:
    try:
        return ASSESSMENT in zarr.open_group(location, mode="r").attrs
    except Exception:  # whatever it is, it is not ours
        return False


def _windows(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-length // WINDOW) for length in shape)


def _region(found: Assessed, stack: str, step: int) -> tuple[slice, ...]:
    place = found.place
    outer = {a: slice(i, i + (place.count if a == stack else 1)) for a, i in place.where.items()}
    plane = [slice(part.start // step, -(-part.stop // step)) for part in (place.rows, place.columns)]
    return (*(outer[axis] for axis in "TCZ"), *plane)


def _samplings(image: Image, step: int) -> dict[str, Sampling]:
    """Return pixel size and origin of each axis of space and time, with `step` pixels in one along Y and X."""
    found = {axis: image.sampling(axis) for axis in image.canonical if axis in "TZYX"}
    return {axis: one.downscaled(step) if axis in "YX" else one for axis, one in found.items()}
