"""Reading the OME-Zarr of this package, and any in one file, with pyramid, scale and channels; the sample images."""

from __future__ import annotations

__all__ = ["get_reader", "open_sample_clean", "open_sample_noisy", "read_ome_zarr"]

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_restore.images.image import Image

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Give a reader for an OME-Zarr that this package wrote, or for any in one file; None for anything else."""
    from napari_restore.images.readers import zipped
    from napari_restore.images.writing.ome_zarr import read_attributes

    if isinstance(path, list) or "://" in str(path):
        return None
    if zipped.is_zipped(str(path)):
        return read_ome_zarr
    if not Path(path).is_dir():
        return None
    try:
        # Plates and collections have attributes of this package too, but neither an image nor a recipe.
        return read_ome_zarr if "recipe" in (read_attributes(path) or {}) else None
    except Exception:  # napari asks about any folder: a reader must decline what it cannot read
        return None


def read_ome_zarr(path: str | list[str]) -> list[LayerData]:
    """Read all levels of an OME-Zarr lazily, as one layer, or one for each channel."""
    from napari_restore.api import open_image
    from napari_restore.images.writing.ome_zarr import read_attributes

    assert isinstance(path, str)
    attributes = (read_attributes(path) if Path(path).is_dir() else None) or {}
    image = open_image(path)
    levels: list[Any] = []
    while True:
        try:
            levels.append(_dask(open_image(path, level=len(levels))))
        except ValueError:
            break
    (data, shown, kind), *others = image_layers(image, levels)
    shown["metadata"] = (
        {"napari_restore": {key: attributes.get(key) for key in ("recipe", "fingerprint", "source")}}
        if attributes
        else {}
    )
    for _, arguments, _ in others:
        arguments["metadata"] = shown["metadata"]
    return [(data, shown, kind), *others]


def open_sample_noisy() -> list[LayerData]:
    """Open the noisy cells: nuclei, actin and mitochondria as a camera records them."""
    return _sample("cells_noisy")


def open_sample_clean() -> list[LayerData]:
    """Open the same cells without noise."""
    return _sample("cells_clean")


def _sample(name: Literal["cells_noisy", "cells_clean"]) -> list[LayerData]:
    from napari_restore.api import open_image
    from napari_restore.samples import sample_path

    image = open_image(sample_path(name))
    pixels = image.read((slice(None),) * len(image.shape))
    layers = image_layers(image, [pixels])
    for data, shown, _ in layers:
        channel = shown["name"].rpartition(" · ")[2]
        shown["name"] = f"{channel} {'noisy' if name == 'cells_noisy' else 'clean'}"
        shown["contrast_limits"] = (float(data.min()), float(data.max()))
    return layers


def image_layers(image: Image, levels: list[Any]) -> list[LayerData]:
    """Describe the layers of an image: one, or one for each channel.

    Parameters
    ----------
    image : Image
        The image, for axes, pixel size, units and channels.
    levels : list of array
        Levels in canonical order, level 0 first.

    Returns
    -------
    list of (data, keyword arguments, "image")
        napari's layer data tuples.
    """
    axes = image.canonical
    kept = [letter for letter in axes if letter not in "CS"]
    shown: dict[str, Any] = {
        "name": image.name,
        "rgb": "S" in axes,
        "scale": [image.pixel_size.get(letter, 1.0) for letter in kept],
        "translate": [image.origin.get(letter, 0.0) for letter in kept],
        "units": [image.units.get(letter, "pixel") for letter in kept],
        "axis_labels": [letter.lower() for letter in kept],
    }
    if "C" not in axes:
        return [(levels if len(levels) > 1 else levels[0], shown, "image")]
    position = axes.index("C")
    result = []
    for number in range(image.sizes["C"]):
        index = (slice(None),) * position + (number,)
        arrays = [level[index] for level in levels]
        channel = image.channels[number] if image.channels else None
        own = dict(shown, name=f"{image.name} · {channel.name if channel and channel.name else f'channel {number}'}")
        if image.sizes["C"] > 1:
            own |= {"blending": "additive", "colormap": _colour(channel, number)}
        if channel and channel.window:
            own["contrast_limits"] = channel.window
        if channel and not channel.shown:
            own["visible"] = False
        result.append((arrays if len(arrays) > 1 else arrays[0], own, "image"))
    return result


def _colour(channel: Any, number: int) -> str:
    if channel is not None and channel.color:
        return f"#{channel.color}"
    return ("cyan", "magenta", "yellow", "green", "red", "blue")[number % 6]


def _dask(image: Image) -> Any:
    """Return the pixels of an image as a dask array in canonical order."""
    import dask.array as da

    from napari_restore.images.axes import transposition

    back = transposition(image.canonical, image.axes)
    chunks = tuple(image.chunks[i] for i in back)
    array = da.from_array(image.data, chunks=chunks, meta=np.empty((0,) * len(chunks), image.dtype))
    return array.transpose(transposition(image.axes, image.canonical))
