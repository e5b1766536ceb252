"""Read axes, channels and geometry of napari layers, and make images of their regions."""

from __future__ import annotations

__all__ = [
    "Region",
    "channel_names",
    "describe_layer",
    "full_resolution",
    "is_comparison",
    "is_helper",
    "is_made_here",
    "layer_image",
    "named_axes",
    "own_metadata",
    "suggested_axes",
    "translation_of",
    "whole",
]

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_restore.images.axes import CANONICAL, canonical_axes, check_axes, letter_of, transposition
from napari_restore.images.image import Channel, Image
from napari_restore.images.units import unit_name
from napari_restore.widgets.jobs.layers.layer_files import describe_sizes, sizes_in_file

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

Region = tuple[slice, ...]
"""One slice for each axis of the layer's full-resolution data, in the order of the layer."""

_BY_DIMENSIONS = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TCZYX"}


def suggested_axes(layer: ImageLayer) -> str:
    """Suggest axes: the layer's axis labels if they name all axes, otherwise the usual order for their number.

    The last axis of an RGB layer is S. The dock widget shows the suggestion, and the user can change it.
    """
    letters = named_axes(layer) or _BY_DIMENSIONS.get(layer.ndim, "")
    return letters + ("S" if getattr(layer, "rgb", False) and letters else "")


def named_axes(layer: ImageLayer) -> str:
    """Return the letters of the axis labels of a layer; "" if they do not name all axes, Y and X among them."""
    found = [letter_of(label) for label in layer.axis_labels]
    named = "" if None in found or "S" in found else "".join(letter for letter in found if letter)
    return named if len(set(named)) == layer.ndim and {"Y", "X"} <= set(named) else ""


def own_metadata(layer: Any) -> dict[str, Any]:
    """Return the metadata that this package has given a layer; empty for other layers."""
    return dict(layer.metadata.get("napari_restore", {}))


def is_made_here(layer: Any) -> bool:
    """Return whether a layer of any type shows a result, a preview or a comparison of this package."""
    return "napari_restore" in layer.metadata


def is_comparison(layer: Any) -> bool:
    """Return whether a layer belongs to a comparison: a wipe, its line, or a difference."""
    return bool(own_metadata(layer).get("comparison"))


def is_helper(layer: Any) -> bool:
    """Return whether a layer is temporary: a preview or part of a comparison."""
    return is_comparison(layer) or bool(own_metadata(layer).get("preview"))


def full_resolution(layer: ImageLayer) -> Any:
    """Return the array of a layer; of a multiscale layer, that of level 0."""
    data = layer.data[0] if layer.multiscale else layer.data
    # An xarray is unwrapped: scale and axes are those of the layer, as on screen.
    return data.data if hasattr(data, "dims") and hasattr(data, "coords") else data


def whole(layer: ImageLayer) -> Region:
    """Return the region that covers a whole layer."""
    return tuple(slice(0, int(length)) for length in full_resolution(layer).shape)


def layer_image(layer: ImageLayer, axes: str, region: Region | None = None) -> Image:
    """Make an image of a region of a layer, without reading it.

    Parameters
    ----------
    layer : napari.layers.Image
        The layer; of a multiscale layer, level 0 is used.
    axes : str
        One letter of TCZYXS for each axis of its data.
    region : tuple of slice, optional
        One slice for each axis; by default the whole layer.

    Returns
    -------
    Image
        With pixel size, origin, units and channels of the layer; pixel size and units of its file if it has none.

    Raises
    ------
    RestoreError
        If the axes do not fit the layer, or its data cannot be restored.
    """
    from napari_restore.api import open_image

    data = full_resolution(layer)
    letters = check_axes(axes, tuple(data.shape))
    inside = whole(layer) if region is None else region
    spatial = [letter for letter in letters if letter != "S"]
    in_file = sizes_in_file(layer, letters, tuple(data.shape))
    sizes = np.array([in_file.pixel_size.get(letter, 1.0) for letter in spatial])
    scale, translate = np.asarray(layer.scale) * sizes, np.asarray(layer.translate) * sizes
    geometry = {
        letter: (float(scale[i]), float(translate[i] + inside[i].start * scale[i]))
        for i, letter in enumerate(spatial)
        if letter != "C"
    }
    units = {letter: unit_name(str(unit)) for letter, unit in zip(spatial, layer.units, strict=True)}
    units |= in_file.units
    names = channel_names(layer, letters)
    opened = open_image(data, axes=letters)  # checks data type and shape
    cropped = _cropped(opened.data, inside)
    shape = tuple(cropped.shape)
    return Image(
        cropped,
        letters,
        name=layer.name,
        pixel_size={letter: size for letter, (size, _) in geometry.items()},
        origin={letter: start for letter, (_, start) in geometry.items()},
        units={letter: unit for letter, unit in units.items() if unit and unit != "pixel" and letter != "C"},
        channels=tuple(map(Channel, names))[inside[letters.index("C")]] if names else (),
        chunks=_clipped(opened.chunks, letters, shape),
        location=layer.source.path,
    )


def translation_of(layer: ImageLayer, pixel: ArrayLike) -> NDArray[np.float64]:
    """Return the translation of a layer that starts at a pixel of this one, with the same scale, rotation and shear."""
    from napari.utils.transforms import Affine

    inner = Affine(
        scale=layer.scale, translate=layer.translate, rotate=layer.rotate, shear=layer.shear, ndim=layer.ndim
    )
    return np.asarray(inner(np.asarray(pixel, float)))


def _cropped(data: Any, region: Region) -> Any:
    """Return a region of an array; lazy if the array is."""
    if all(s.start == 0 and s.stop == length for s, length in zip(region, data.shape, strict=True)):
        return data
    if isinstance(data, np.ndarray) or hasattr(data, "__dask_graph__"):
        return data[region]
    import dask.array as da

    meta = np.empty((0,) * len(data.shape), data.dtype)
    return da.from_array(data, chunks=getattr(data, "chunks", "auto"), meta=meta)[region]


def _clipped(chunks: tuple[int, ...], letters: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    order = transposition(letters, canonical_axes(letters))
    return tuple(min(size, shape[i]) for size, i in zip(chunks, order, strict=True))


def channel_names(layer: ImageLayer, axes: str) -> tuple[str, ...]:
    """Return the names of a layer's channels; none if it has no axis C or the axes do not fit."""
    shape = full_resolution(layer).shape
    if "C" not in axes or len(axes) != len(shape):
        return ()
    return tuple(f"channel {i}" for i in range(shape[axes.index("C")]))


def describe_layer(layer: ImageLayer, axes: str) -> str:
    """Describe a layer in one line: ``"Z 40 · Y 2048 · X 2048, uint16, 335.5 MB, zarr"``.

    Raises
    ------
    RestoreError
        If the axes do not fit the layer, or its data cannot be restored.
    """
    from napari_restore.wording import human_bytes, human_shape

    image = layer_image(layer, axes)
    kind = type(full_resolution(layer)).__module__.partition(".")[0]
    levels = f", {len(layer.data)} levels" if layer.multiscale else ""
    assert set(image.canonical) <= set(CANONICAL)
    in_file = describe_sizes(sizes_in_file(layer, image.axes, tuple(full_resolution(layer).shape)))
    shape, size = human_shape(image.canonical, image.shape), human_bytes(image.nbytes)
    return f"{shape}, {image.dtype}, {size}, {kind}{levels}{'; ' if in_file else ''}{in_file}"
