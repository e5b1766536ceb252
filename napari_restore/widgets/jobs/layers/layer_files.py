"""Files of layers: their pixel size, where the reader that opened one has left it out, and names for new ones."""

from __future__ import annotations

__all__ = ["FileSizes", "describe_sizes", "file_stem", "sizes_in_file"]

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from napari_restore.errors import RestoreError

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer


@dataclass(frozen=True)
class FileSizes:
    """Pixel sizes and units by axis letter; empty if the file has none."""

    pixel_size: Mapping[str, float] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)


def sizes_in_file(layer: ImageLayer, axes: str, shape: tuple[int, ...]) -> FileSizes:
    """Read the pixel size of a layer that has none from the file that it was opened from.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer.
    axes : str
        One letter of TCZYXS for each axis of its data.
    shape : tuple of int
        Shape of its data.

    Returns
    -------
    FileSizes
        Empty if the layer has a scale or units of its own, the file cannot be read, or its image has another shape.
    """
    path = layer.source.path
    own = not np.allclose(layer.scale, 1) or any(str(unit) != "pixel" for unit in layer.units)
    if path is None or own or "://" in str(path):
        return FileSizes()
    try:
        modified = os.stat(path).st_mtime_ns
    except OSError:
        return FileSizes()
    return _read(str(path), modified, axes, shape)


def describe_sizes(sizes: FileSizes) -> str:
    """Describe sizes in one line: ``"pixel size of the file: Y 0.1 micrometer, X 0.1 micrometer"``; empty for none.

    Parameters
    ----------
    sizes : FileSizes
        The sizes.
    """
    words = (f"{letter} {size:g} {sizes.units.get(letter, '')}".strip() for letter, size in sizes.pixel_size.items())
    return f"pixel size of the file: {', '.join(words)}" if sizes.pixel_size else ""


def file_stem(name: str) -> str:
    """Return the name of a layer with all signs replaced that a file name should not have.

    Examples
    --------
    >>> file_stem("cells: DAPI/1")
    'cells__DAPI_1'
    """
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)


@lru_cache(maxsize=64)
def _read(path: str, modified: int, axes: str, shape: tuple[int, ...]) -> FileSizes:
    from napari_restore.api import open_image

    try:
        opened = open_image(path)
    except (RestoreError, OSError):
        return FileSizes()
    if tuple(opened.data.shape) != shape:
        return FileSizes()
    shared = [letter for letter, other in zip(axes, opened.axes, strict=True) if letter == other and letter not in "CS"]
    known = {letter: opened.pixel_size[letter] for letter in shared if letter in opened.pixel_size}
    units = {letter: opened.units[letter] for letter in known if letter in opened.units}
    return FileSizes(known, units) if units else FileSizes()
