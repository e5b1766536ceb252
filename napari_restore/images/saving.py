"""Save images of any size as OME-Zarr 0.5, block by block, with pyramid, sizes, channels and labels.

A block is one write unit: it is read, written and forgotten. All of it is written beside the place and renamed at the
end, so that an interrupted save leaves nothing at the place, and nothing that is there already is replaced.
"""

from __future__ import annotations

__all__ = ["Channels", "joined", "save_images"]

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_restore.errors import OutputError
from napari_restore.images.axes import canonical_axes
from napari_restore.images.image import Channel, Image, sample_channels
from napari_restore.images.lazy_arrays import Region
from napari_restore.images.ome_metadata import collection_attributes
from napari_restore.images.store import Folder, place_of
from napari_restore.images.writing.annotations import AnnotationWriter
from napari_restore.images.writing.layout import WriteUnit, stored_order, to_stored
from napari_restore.images.writing.ome_zarr import create, unit_counts, unit_region
from napari_restore.images.writing.pyramid import downsample, downsample_labels, downsample_unit, levels_for
from napari_restore.images.writing.unit_writer import UnitWriter

_CHUNK_SIDE = 512
_BLOCK_SIDE = 2048
_LARGEST_BLOCK = 64 * 2**20
"""Bytes of a block of more than one plane."""

Progress = Callable[[int, int], None]
"""Called with the number of blocks that are stored, and of all."""


class Channels:
    """Images of one grid as one lazy array with a first axis of channels; the others in canonical order.

    Parameters
    ----------
    images : sequence of Image
        The images, of the same axes, shape and data type.
    """

    def __init__(self, images: Sequence[Image]) -> None:
        self.images = tuple(images)
        self.shape, self.dtype = (len(self.images), *self.images[0].shape), self.images[0].dtype

    def __getitem__(self, region: Region) -> NDArray[Any]:
        """Read a region."""
        return np.stack([image.read(region[1:]) for image in self.images[region[0]]])


def _grid(image: Image) -> tuple[Any, ...]:
    """Return what two images that lie on each other, pixel by pixel, have in common."""
    axes = image.canonical
    samplings = [(image.sampling(axis), image.units.get(axis)) for axis in axes if axis not in "CS"]
    return tuple((axis, n) for axis, n in image.sizes.items() if axis not in "CS"), samplings


def joined(images: Sequence[Image], name: str) -> list[Image]:
    """Join images without channels that lie on each other, and have the same data type, as channels of one image.

    Parameters
    ----------
    images : sequence of Image
        The images.
    name : str
        Name of a joined image.

    Returns
    -------
    list of Image
        In the order of their first parts. An image on a grid of its own, with channels, or in colour stays as it is.
    """
    groups: list[list[Image]] = []
    for image in images:
        alone = bool(set("CS") & set(image.axes))
        fits = (g for g in groups if not alone and _joins(g[0], image))
        found = next(fits, None)
        groups.append([image]) if found is None else found.append(image)
    return [group[0] if len(group) == 1 else _joined(group, name) for group in groups]


def _joins(first: Image, image: Image) -> bool:
    return not set("CS") & set(first.axes) and first.dtype == image.dtype and _grid(first) == _grid(image)


def _joined(images: Sequence[Image], name: str) -> Image:
    first, axes = images[0], f"C{images[0].canonical}"
    stored = dict(zip(axes, (1, *first.chunks), strict=True))
    return Image(
        Channels(images), axes, name=name, pixel_size=first.pixel_size, origin=first.origin, units=first.units,
        channels=tuple(image.channels[0] if image.channels else Channel(image.name) for image in images),
        chunks=tuple(stored[axis] for axis in canonical_axes(axes)),
    )  # fmt: skip


def save_images(
    path: str | Path,
    images: Sequence[Image],
    labels: Mapping[str, Image] | None = None,
    progress: Progress | None = None,
) -> None:
    """Save images as one OME-Zarr 0.5: one as an image, several as a collection in the layout of bioformats2raw.

    Parameters
    ----------
    path : str or Path
        Folder of the new OME-Zarr; it must be empty or not exist.
    images : sequence of Image
        One or more.
    labels : mapping of str to Image, optional
        Labels by name. They are stored with the first image on the same grid, or else with the first image.
    progress : callable, optional
        Called with the number of blocks that are stored, and of all.

    Raises
    ------
    OutputError
        If something exists at `path`, it is no folder on a disk, or it cannot be written.
    AxesError
        If an image has both channels and colour samples.
    SourceError
        If labels are no integers, or pixels cannot be read.
    """
    place = place_of(path)
    if not images:
        raise OutputError(f"nothing is to be saved at {path}; give one image or more.")
    if not isinstance(place, Folder):
        raise OutputError(f"{path} is no folder on a disk; save there, and copy the folder.")
    if place.holds() != "nothing":
        raise OutputError(f"{place.path} exists already; choose another name, or delete it first.")
    for name, one in (labels or {}).items():
        if one.dtype.kind not in "ui" or not name or set(name) & set("/\\"):
            raise OutputError(
                f"labels {name!r} of {one.dtype} cannot be stored; use integers and a name without slash."
            )
    belonging = _belonging(images, labels or {})
    members = [""] if len(images) == 1 else [str(number) for number in range(len(images))]
    todo = [(image, False) for image in images] + [(one, True) for one in (labels or {}).values()]
    total = sum(math.prod(_counts(one, level)) for one, _ in todo for level in range(_levels(one)))

    def make(fresh: Path | str) -> None:
        folder, counted = Path(fresh), itertools.count(1)

        def stored() -> None:
            if progress is not None:
                progress(next(counted), total)

        if len(images) > 1:
            _make_collection(folder, members)
        for image, member, own in zip(images, members, belonging, strict=True):
            _write(folder / member, image, stored)
            if own:
                writer = AnnotationWriter(place_of(folder / member), "labels")
                writer.begin()
                for name, one in own.items():
                    _write(folder / member / "labels" / name, replace(one, name=name, channels=()), stored, labels=True)
                writer.end({"ome": {"version": "0.5", "labels": []}}, list(own))

    place.create(make)


def _belonging(images: Sequence[Image], labels: Mapping[str, Image]) -> list[dict[str, Image]]:
    """Return the labels of each image."""
    grids = [_grid(image) for image in images]
    found: list[dict[str, Image]] = [{} for _ in images]
    for name, one in labels.items():
        grid = _grid(one)
        found[grids.index(grid) if grid in grids else 0][name] = one
    return found


def _make_collection(folder: Path, members: Sequence[str]) -> None:
    for inside, attributes in collection_attributes(members, "0.5").items():
        zarr.create_group(folder / inside, attributes=attributes)


def _write(path: Path, image: Image, stored: Callable[[], None], *, labels: bool = False) -> None:
    """Write all levels of an image."""
    chunks, block = _shapes(image)
    channels = sample_channels(image.sizes["S"]) if "S" in image.axes else image.channels
    create(
        path, shape=image.shape, dtype=image.dtype, axes=image.canonical, chunks=chunks, shards=block,
        levels=_levels(image), pixel_size=image.pixel_size, origin=image.origin, units=image.units,
        channels=() if labels else channels, name=image.name, labels=labels,
    )  # fmt: skip
    writer = UnitWriter(path)
    order = stored_order(image.canonical)
    for unit in _units(writer, 0):
        region = dict(zip(order, unit_region(writer.level(0), unit), strict=True))
        pixels = image.read(tuple(region[axis] for axis in range(len(order))))
        writer.write(unit, to_stored(pixels, image.canonical))
        stored()
    for level in range(1, _levels(image)):
        for unit in _units(writer, level):
            downsample_unit(writer, unit, downsample_labels if labels else downsample)
            stored()


def _units(writer: UnitWriter, level: int) -> Iterator[WriteUnit]:
    return (WriteUnit(level, index) for index in np.ndindex(unit_counts(writer.level(level))))


def _levels(image: Image) -> int:
    return levels_for(image.shape, image.canonical)


def _counts(image: Image, level: int) -> list[int]:
    """Return the blocks of a level along each axis."""
    halved = 2**level
    lengths = [-(-n // halved) if axis in "YX" else n for axis, n in image.sizes.items()]
    return [-(-n // step) for n, step in zip(lengths, _shapes(image)[1], strict=True)]


def _shapes(image: Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of a chunk and of a block, in canonical order.

    A chunk is a square of one plane, which viewers load fast. A block is whole chunks of the source along the other
    axes, as far as memory allows, so that each chunk of the source is decoded as few times as possible.
    """
    sizes = image.sizes
    chunk = {axis: min(n, _CHUNK_SIDE) if axis in "YX" else (n if axis == "S" else 1) for axis, n in sizes.items()}
    block = {
        axis: min(-(-sizes[axis] // side), -(-_BLOCK_SIDE // side)) * side if axis in "YX" else side
        for axis, side in chunk.items()
    }
    room = _LARGEST_BLOCK // (math.prod(block.values()) * image.dtype.itemsize)
    for axis, step in zip(reversed(image.canonical), reversed(image.chunks), strict=True):
        if axis in "ZCT" and room > 1:
            block[axis] = min(step, sizes[axis], room)
            room //= block[axis]
    return tuple(chunk.values()), tuple(block.values())
