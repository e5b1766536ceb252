"""Read OME-Zarr images with pyramid, scale, channels and labels, and the sample images."""

from __future__ import annotations

__all__ = ["get_reader", "open_sample_clean", "open_sample_noisy", "read_ome_zarr"]

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_restore.errors import RestoreError, in_window
from napari_restore.images.image import Channel, Image

LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | list[str]) -> Callable[[str | list[str]], list[LayerData]] | None:
    """Return a reader for an OME-Zarr image, or a group of images, of any version; None for anything else.

    Plates are declined: they would be hundreds of layers.
    """
    from napari_restore.images.readers import zipped

    if isinstance(path, list) or "://" in str(path):
        return None
    if zipped.is_zipped(str(path)):
        return read_ome_zarr
    if not Path(path).is_dir():
        return None
    try:
        return read_ome_zarr if _images_in(os.path.abspath(path)) else None
    except Exception:  # napari asks about any folder: a reader must decline what it cannot read
        return None


def read_ome_zarr(path: str | list[str]) -> list[LayerData]:
    """Read all images of an OME-Zarr lazily, with all levels, and the labels of each.

    Parameters
    ----------
    path : str
        A folder, or a file that holds an OME-Zarr.

    Returns
    -------
    list of (data, keyword arguments, "image" or "labels")
        One layer for each image without an axis C, otherwise one for each channel; then one for each of its labels.

    Raises
    ------
    RestoreError
        If an image cannot be read; in the words of the window.
    """
    assert isinstance(path, str)
    path = os.path.abspath(path)
    try:
        return [layer for member in _images_in(path) for layer in _layers_of(path, member)]
    except RestoreError as error:
        raise type(error)(error.told("window")) from error


def _images_in(path: str) -> tuple[str, ...]:
    """Return the paths of the images in a group: "" for the group itself, or the members of a collection (no plate)."""
    from napari_restore.images.collection import read_collection

    if "multiscales" in _ome(path):
        return ("",)
    collection = read_collection(path)
    return collection.members if collection is not None and collection.plate is None else ()


def _ome(path: str, member: str = "") -> dict[str, Any]:
    """Return the OME metadata of a group in a folder or in one file; empty for an array."""
    import zarr

    from napari_restore.images.guards.zarr_store import guarded_store
    from napari_restore.images.ome_metadata import ome_part
    from napari_restore.images.readers import zipped

    if zipped.is_zipped(path):
        node = zipped.inside(path, member)
    else:
        node = zarr.open(guarded_store(_join(path, member)), mode="r")
    return dict(ome_part(node)) if isinstance(node, zarr.Group) else {}


def _join(path: str, member: str) -> str:
    return f"{path.rstrip('/')}/{member}" if member else path


def _layers_of(path: str, member: str) -> list[LayerData]:
    """Return the layers of an image of a group, and of its labels."""
    from napari_restore.api import open_image
    from napari_restore.images.readers.ome_zarr.multiscales import multiscales
    from napari_restore.images.writing.ome_zarr import read_attributes

    ome, layers, place = _ome(path, member), [], _join(path, member)
    own = (read_attributes(place) if Path(place).is_dir() else None) or {}
    metadata = {"napari_restore": {key: own.get(key) for key in ("recipe", "fingerprint", "source")}} if own else {}
    for series, multiscale in enumerate(multiscales(ome, place)):
        image = open_image(place, series=series)
        levels = [_dask(image)]
        for number in range(1, len(multiscale.paths)):
            try:
                levels.append(_dask(open_image(place, level=number, series=series)))
            except RestoreError as error:
                _warn(f"{image.name} opens without its coarser levels from {number} on: {error.told('window')}")
                break
        found = image_layers(image, levels)
        for _, arguments, _ in found:
            arguments["metadata"] = metadata
        layers += [_as_labels(*one) for one in found] if "image-label" in ome else found
    return layers + _labels_of(path, member)


def _labels_of(path: str, member: str) -> list[LayerData]:
    """Return the layers of the labels of an image. Labels that cannot be read are left out, with a warning."""
    folder = f"{member}/labels".lstrip("/")
    try:
        names = list(_ome(path, folder).get("labels") or [])
    except Exception:  # most images have no labels
        return []
    layers: list[LayerData] = []
    for name in names:
        try:
            found = [_as_labels(*one) for one in _layers_of(path, f"{folder}/{name}")]
        except Exception as error:
            _warn(f"the labels {name} of {_join(path, member)} are left out: {in_window(error)}")
            continue
        for number, (_, arguments, _) in enumerate(found):
            arguments["name"] = name if number == 0 else f"{name} · {number}"
        layers += found
    return layers


def _as_labels(data: Any, arguments: dict[str, Any], kind: str) -> LayerData:
    """Convert an image layer to a labels layer, if its pixels are integers."""
    levels = data if isinstance(data, list) else [data]
    if kind == "labels" or levels[0].dtype.kind not in "uib":
        return data, arguments, kind  # labels already, or no integers
    kept = ("name", "scale", "translate", "units", "axis_labels", "metadata")
    whole = [level.astype(np.uint8) if level.dtype.kind == "b" else level for level in levels]
    shown = {name: arguments[name] for name in kept if name in arguments}
    shown["name"] = str(shown["name"]).removesuffix(" · channel 0")
    return (whole if isinstance(data, list) else whole[0]), shown, "labels"


def _warn(text: str) -> None:
    from napari.utils.notifications import show_warning

    show_warning(text)


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
        shown |= _display(image.channels[0]) if image.channels and "S" not in axes else {}
        return [(levels if len(levels) > 1 else levels[0], shown, "image")]
    position = axes.index("C")
    result = []
    for number in range(image.sizes["C"]):
        index = (slice(None),) * position + (number,)
        arrays = [level[index] for level in levels]
        channel = image.channels[number] if image.channels else None
        own = dict(shown, name=f"{image.name} · {channel.name if channel and channel.name else f'channel {number}'}")
        own |= _display(channel) if channel else {}
        if image.sizes["C"] > 1:
            own |= {"blending": "additive", "colormap": _colour(channel, number)}
        result.append((arrays if len(arrays) > 1 else arrays[0], own, "image"))
    return result


def _display(channel: Channel) -> dict[str, Any]:
    """Return colour, display limits and visibility of a layer, as far as its channel has them."""
    shown: dict[str, Any] = {"colormap": _colour(channel, 0)} if channel.color else {}
    if channel.window:
        shown["contrast_limits"] = channel.window
    return shown if channel.shown else shown | {"visible": False}


def _colour(channel: Channel | None, number: int) -> str:
    if channel is not None and channel.color:
        return "gray" if channel.color == "FFFFFF" else f"#{channel.color}"
    return ("cyan", "magenta", "yellow", "green", "red", "blue")[number % 6]


def _dask(image: Image) -> Any:
    """Return the pixels of an image as a dask array in canonical order."""
    import dask.array as da

    from napari_restore.images.axes import transposition

    back = transposition(image.canonical, image.axes)
    chunks = tuple(image.chunks[i] for i in back)
    array = da.from_array(image.data, chunks=chunks, meta=np.empty((0,) * len(chunks), image.dtype))
    return array.transpose(transposition(image.axes, image.canonical))
