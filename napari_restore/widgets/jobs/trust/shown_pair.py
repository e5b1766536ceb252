"""Find the results in a layer list, and bring a source and its result to the images that are assessed."""

from __future__ import annotations

__all__ = ["ShownPair", "ShownResult", "shown_results"]

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.errors import SourceError
from napari_restore.images.axes import canonical_axes, check_axes
from napari_restore.images.geometry import first_centre
from napari_restore.images.image import Image
from napari_restore.images.store import is_url
from napari_restore.images.writing.layout import stored_axes
from napari_restore.widgets.jobs.filling import FillingView
from napari_restore.widgets.jobs.layers.image_layers import (
    Region,
    full_resolution,
    is_helper,
    layer_image,
    own_metadata,
    whole,
)
from napari_restore.widgets.jobs.layers.stored_view import StoredView
from napari_restore.widgets.jobs.results import layer_geometry, result_axes


@dataclass(frozen=True)
class ShownResult:
    """A result in the layer list.

    Attributes
    ----------
    name : str
        Its name: that of its layer, or of its run if that has a layer for each channel.
    layers : tuple of napari.layers.Image
        One layer, or one for each channel.
    output : str
        Path or URL of the OME-Zarr that this package wrote; empty for other results.
    """

    name: str
    layers: tuple[Any, ...]
    output: str = ""


def shown_results(layers: Iterable[Any]) -> list[ShownResult]:
    """List what can be assessed: results of this package, then other images; the latest of both first.

    Parameters
    ----------
    layers : iterable of napari.layers.Layer
        The layer list.
    """
    images = [layer for layer in layers if layer.__class__.__name__ == "Image" and not is_helper(layer)]
    runs: dict[str, list[Any]] = {}
    for layer in images:
        if title := own_metadata(layer).get("title"):
            runs.setdefault(title, []).append(layer)
    ours = [ShownResult(title, tuple(found), _output(found)) for title, found in runs.items()]
    single = [
        ShownResult(layer.name, (layer,), _output([layer])) for layer in images if not own_metadata(layer).get("title")
    ]
    stored = [each for each in single if each.output]
    return [*ours[::-1], *stored[::-1], *[each for each in single if not each.output][::-1]]


def _output(layers: list[Any]) -> str:
    own = own_metadata(layers[0])
    run = tuple(own.get("run", ()))
    if len(run) == 1:
        return str(run[0])
    return str(layers[0].source.path or "") if own.get("recipe") else ""


@dataclass(frozen=True)
class ShownPair:
    """A source and its result, with the part of the source that the result covers.

    Attributes
    ----------
    source : napari.layers.Image
        The source.
    axes : str
        One letter of TCZYXS for each axis of its data.
    region : tuple of slice
        The part of the source, in its pixels and axis order.
    before : Image
        The part of the source as an image.
    after : Image or str
        The result as an image, or the OME-Zarr that this package wrote.
    """

    source: Any
    axes: str
    region: Region
    before: Image
    after: Image | str

    @classmethod
    def of(cls, source: Any, axes: str, result: ShownResult) -> ShownPair:
        """Pair a source with its result. Call this on the main thread.

        Parameters
        ----------
        source : napari.layers.Image
            The source.
        axes : str
            One letter of TCZYXS for each axis of its data.
        result : ShownResult
            The result.

        Raises
        ------
        RestoreError
            If the axes do not fit the source, or the result does not lie on pixels of the source.
        """
        letters = check_axes(axes, tuple(full_resolution(source).shape))
        if any(isinstance(full_resolution(layer), FillingView) for layer in result.layers):
            raise SourceError(f"{result.name} is not complete; assess it when its run has ended.")
        region = _covered(source, letters, result.layers)
        after = _image_of(result, letters, region, source)
        return cls(source, letters, region, layer_image(source, letters, region), after)

    @property
    def stored_axes(self) -> str:
        """Axes of arrays that are stored beside a result."""
        return stored_axes(canonical_axes(self.axes))

    def channels(self) -> int:
        """Return the number of channels, or of colour samples."""
        return next((self.before.sizes[axis] for axis in "CS" if axis in self.axes), 1)

    def layer_of(self, array: Any, channel: int, step: int = 1) -> tuple[Any, dict[str, Any]]:
        """Return the data and the position of a layer that shows one channel of an array over the source.

        Parameters
        ----------
        array : array
            With the axes `stored_axes`, on the pixels of the region.
        channel : int
            Index along C.
        step : int
            Pixels of the source along Y and X for each pixel of the array.

        Returns
        -------
        (array, dict)
            In the axis order of the source, without S and without a leading C; and the keyword arguments of the layer.
        """
        stored, view = self.stored_axes, StoredView(array)
        kept = [letter for letter in result_axes(self.axes) if letter != "S"]
        if "C" in stored:
            position = stored.index("C")
            view = view.only(position, channel) if "C" in kept else view.at(position, channel)
            stored = stored if "C" in kept else stored.replace("C", "")
        view = view.transpose([stored.index(letter) for letter in kept])
        return view.in_memory(), layer_geometry(self.source, self.axes, self.region, 1 / step)

    def position(self, place: dict[str, int]) -> NDArray[np.float64]:
        """Return the world coordinates of a pixel of the region.

        Parameters
        ----------
        place : dict of str to int
            Index along each axis of TCZYX; axes that the source does not have are ignored.
        """
        spatial = [letter for letter in self.axes if letter != "S"]
        pixel = [part.start + place[letter] for letter, part in zip(spatial, self.region, strict=False)]
        return np.asarray(self.source.data_to_world(pixel), float)


def _covered(source: Any, axes: str, results: tuple[Any, ...]) -> Region:
    """Find the region of a source that its result covers, by their positions; by their shapes, if these do not fit."""
    result, everything, letters = results[0], whole(source), axes.replace("S", "")
    common = letters if _same_axes(source, results) else result_axes(letters)
    kept = [i for i, letter in enumerate(letters) if letter in common]
    if result.ndim != len(kept):
        raise SourceError(
            f"{result.name} has {result.ndim} axes, and a result of {source.name} ({axes}) has {len(kept)}; choose "
            "another layer, or correct the axes."
        )
    spans = _spans(source, letters, result, kept)
    if spans is not None:
        return tuple(spans.get(i, part) for i, part in enumerate(everything))
    lengths = full_resolution(result).shape
    if all(letters[i] in "YXC" or lengths[k] == everything[i].stop for k, i in enumerate(kept)):
        return everything  # whether Y and X are whole multiples is checked, and told, when they are assessed
    raise SourceError(
        f"{result.name} ({_told(lengths)} pixels) does not lie on pixels of {source.name} "
        f"({_told(part.stop for part in everything)}): choose its own source, or give both layers the same scale and "
        "translation."
    )


def _spans(source: Any, letters: str, result: Any, kept: list[int]) -> dict[int, slice] | None:
    """Return the part of each axis of a source that its result covers, by their positions.

    None if these do not fit: of another tool's result without a pixel size, its shape alone says what it covers.
    """
    channel = np.array([letters[i] == "C" for i in kept])
    ratios = np.where(channel, 1.0, np.asarray(source.scale)[kept] / np.asarray(result.scale))
    factors = np.round(ratios).astype(int)
    if not np.allclose(ratios, factors, rtol=1e-3) or (factors < 1).any():
        return None
    world = np.asarray(source.data_to_world([0] * source.ndim), float)
    world[kept] = result.data_to_world([0] * result.ndim)
    first = np.asarray(source.world_to_data(world))[kept] - first_centre(1 / factors)
    full = np.array(full_resolution(source).shape[: source.ndim])[kept]
    starts = np.where(channel, 0, np.round(first)).astype(int)
    ends = np.where(channel, full, starts + np.array(full_resolution(result).shape[: result.ndim]) // factors)
    if (starts < 0).any() or (ends <= starts).any() or (ends > full).any():
        return None
    return {i: slice(int(start), int(end)) for i, start, end in zip(kept, starts, ends, strict=True)}


def _told(lengths: Iterable[int]) -> str:
    return " x ".join(map(str, lengths))


def _same_axes(source: Any, results: tuple[Any, ...]) -> bool:
    """Whether the result is one layer with all channels of its source, as other tools make it."""
    return len(results) == 1 and bool(results[0].ndim == source.ndim)


def _image_of(result: ShownResult, axes: str, region: Region, source: Any) -> Image | str:
    """Return what is assessed: the OME-Zarr of the result if it holds exactly these layers, otherwise their pixels."""
    if result.output and _holds(result, axes, region):
        return result.output
    letters = axes if _same_axes(source, result.layers) else result_axes(axes)
    if letters == axes and len(result.layers) == 1:
        # Without its place: one layer may be a part of its file, whose assessment it must not be.
        return replace(layer_image(result.layers[0], letters), location=None)
    pixels = [np.asarray(full_resolution(layer)) for layer in result.layers]
    joined = np.concatenate(pixels, axis=letters.index("C")) if "C" in letters else np.stack(pixels)
    return Image(joined, axes, name=result.name)


def _holds(result: ShownResult, axes: str, region: Region) -> bool:
    """Whether the OME-Zarr of a result has exactly the channels of the source."""
    from napari_restore import api

    if tuple(own_metadata(result.layers[0]).get("run", ())) == (result.output,) or is_url(result.output):
        return True
    stored = api.open_image(result.output)
    channels = {letter: part.stop - part.start for letter, part in zip(axes, region, strict=True)}.get("C", 1)
    return bool(stored.sizes.get("C", 1) == channels == len(result.layers))
