"""Save image and labels layers as OME-Zarr, block by block, with pyramid, scale, units, position and channels."""

from __future__ import annotations

__all__ = ["write_ome_zarr"]

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.errors import OutputError, RestoreError
from napari_restore.images.image import Channel, Image
from napari_restore.widgets.jobs.layers.image_layers import layer_image, named_axes, suggested_axes
from napari_restore.widgets.jobs.layers.layer_files import file_stem

if TYPE_CHECKING:
    from napari.layers import Layer

LayerData = tuple[Any, dict[str, Any], str]
_JOINT = " · "
"""Between the name of an image and of its channel, as the reader names layers."""


def write_ome_zarr(path: str, layers: list[LayerData]) -> list[str]:
    """Write layers as one OME-Zarr: image layers on the same grid as channels of one image, others as a collection.

    Parameters
    ----------
    path : str
        Folder of the new OME-Zarr; it must be empty or not exist.
    layers : list of (data, keyword arguments, "image" or "labels")
        One image layer or more, of numpy, dask or zarr arrays, multiscale or not; and labels layers, which go with the
        first image of the same shape and position. Of a multiscale layer, level 0 is stored and the others are
        computed anew.

    Returns
    -------
    list of str
        The path.

    Raises
    ------
    RestoreError
        If something exists at `path`, or a layer cannot be stored; in the words of the window.
    """
    try:
        return _written(path, layers)
    except RestoreError as error:
        raise type(error)(error.told("window")) from error


def _written(path: str, layers: list[LayerData]) -> list[str]:
    from napari.layers import Layer
    from napari.utils import progress
    from napari.utils.notifications import show_info

    from napari_restore.api import save_ome_zarr
    from napari_restore.images.saving import joined

    notes: list[str] = []
    made = [(Layer.create(*one), one[2]) for one in layers]
    images = [_image(layer, notes) for layer, kind in made if kind == "image"]
    labels: dict[str, Image] = {}
    for layer, kind in made:
        if kind == "labels":
            labels[_free_name(file_stem(layer.name) or "labels", labels)] = _stored(layer, notes)
    stored = joined(_without_common_name(images), _common_name(images) or Path(path).stem)
    with progress(desc=f"Saving {Path(path).name}") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(1)

        save_ome_zarr(stored, path, labels=labels, progress=show)
    what = ", ".join(f"{image.name} ({image.canonical})" for image in stored)
    show_info(" ".join([f"Saved {path}: {what}.", *notes]))
    return [path]


def _image(layer: Layer, notes: list[str]) -> Image:
    """Return the image of a layer, with its channels as far as OME-Zarr can describe them."""
    image = _stored(layer, notes)
    if "S" in image.axes:
        return image
    window = (float(layer.contrast_limits[0]), float(layer.contrast_limits[1]))
    if layer.gamma != 1:
        notes.append(f"The gamma {layer.gamma:g} of {layer.name} is not stored: OME-Zarr has none.")
    channel = Channel(layer.name, _colour(layer, notes), window, bool(layer.visible))
    if "C" not in image.axes:
        return replace(image, channels=(channel,))
    return replace(image, channels=tuple(replace(channel, name=f"channel {n}") for n in range(image.sizes["C"])))


def _colour(layer: Layer, notes: list[str]) -> str | None:
    """Return the colour of a colormap from black to a colour, as six hexadecimal digits; None for other colormaps."""
    at = layer.colormap.map(np.array([0.0, 0.5, 1.0]))[:, :3]
    if np.abs(at[0]).max() > 0.02 or np.abs(at[1] - at[2] / 2).max() > 0.02:
        notes.append(f"The colormap {layer.colormap.name} of {layer.name} is not stored: OME-Zarr has one colour each.")
        return None
    return "".join(f"{round(255 * float(part)):02X}" for part in at[2])


def _stored(layer: Layer, notes: list[str]) -> Image:
    """Return the image of a layer, where it is in the world.

    Raises
    ------
    RestoreError
        If the layer is rotated or sheared, its axes are not known, or its pixels cannot be stored.
    """
    scale, translate = _placement(layer)
    axes = suggested_axes(layer)
    if not axes:
        raise OutputError(
            f"layer {layer.name} has {layer.ndim} axes without names; in napari's console, name them by "
            f"viewer.layers[{layer.name!r}].axis_labels = ('t', 'c', 'z', 'y', 'x'), or save planes or stacks of it."
        )
    if layer.ndim > 2 and not named_axes(layer):
        notes.append(f"The axes of {layer.name} have no names and are stored as {axes}.")
    if np.dtype(layer.dtype).kind == "b":
        notes.append(f"The truth values of {layer.name} are stored as 0 and 1.")
        layer = _with_numbers(layer)
    image = layer_image(layer, axes)
    spatial = [letter for letter in axes if letter != "S"]
    placed = {a: (s, t) for a, s, t in zip(spatial, scale, translate, strict=True) if a != "C"}
    # Pixel sizes that only the file has are not on screen, so the layer's own are stored.
    return replace(
        image,
        pixel_size={axis: size for axis, (size, _) in placed.items()},
        origin={axis: start for axis, (_, start) in placed.items()},
    )


def _placement(layer: Layer) -> tuple[list[float], list[float]]:
    """Return scale and translation of a layer in the world, affine transformation included."""
    ndim = layer.ndim
    origin = np.asarray(layer.data_to_world(np.zeros(ndim)), float)
    columns = np.array([np.asarray(layer.data_to_world(row), float) - origin for row in np.eye(ndim)])
    scale = np.diagonal(columns)
    if np.abs(columns - np.diag(scale)).max() > 1e-9 * np.abs(scale).max():
        raise OutputError(
            f"layer {layer.name} is rotated or sheared, and OME-Zarr 0.5 stores scale and translation only; reset it "
            "(the transform button of the layer's controls, with Alt), or save it as another format."
        )
    return [float(size) for size in scale], [float(start) for start in origin]


def _with_numbers(layer: Layer) -> Layer:
    """Return a layer of truth values with the numbers 0 and 1, which are computed as they are read."""
    import dask.array as da

    data, shown, kind = layer.as_layer_data_tuple()
    level = data[0] if layer.multiscale else data
    numbers = da.asarray(level).astype(np.uint8)
    return type(layer).create(numbers, shown | {"multiscale": False}, kind)


def _common_name(images: list[Image]) -> str:
    """Return what the names of all layers of an image that the reader has opened begin with; "" for others."""
    starts = {image.name.rpartition(_JOINT)[0] for image in images}
    return starts.pop() if len(starts) == 1 else ""


def _without_common_name(images: list[Image]) -> list[Image]:
    """Name channels without the name that all images have in common."""
    common = _common_name(images)
    if not common or len(images) == 1:
        return images
    shorter = []
    for image in images:
        name = image.name.removeprefix(f"{common}{_JOINT}")
        own = image.channels if "C" in image.axes else tuple(replace(one, name=name) for one in image.channels)
        shorter.append(replace(image, channels=own))
    return shorter


def _free_name(name: str, taken: dict[str, Image]) -> str:
    """Return a name that is not taken, with a number if necessary."""
    number = 1
    while (free := name if number == 1 else f"{name}_{number}") in taken:
        number += 1
    return free
