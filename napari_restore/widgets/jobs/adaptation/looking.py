"""Which part of a layer an adaptation restores to look at, and the layer that shows it."""

from __future__ import annotations

__all__ = ["part_as_layer", "seen_part"]

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_restore.widgets.jobs.layers.image_layers import Region, translation_of
from napari_restore.widgets.jobs.viewport import Viewport

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_restore.adapting.outcome import View


def seen_part(viewport: Viewport, layer: ImageLayer, letters: str, region: Region) -> dict[str, int | slice]:
    """Return what the canvas shows of a region of a layer, as `api.adapt` takes it.

    Parameters
    ----------
    viewport : Viewport
        What the canvas shows.
    layer : napari.layers.Image
        The layer.
    letters : str
        One letter for each axis of its data.
    region : tuple of slice
        The region that is adapted to, in pixels of the layer.

    Returns
    -------
    dict of str to (int or slice)
        In pixels of the region. Y and X are left out where the canvas does not show them: the middle is taken.
    """
    position, found = viewport.position(layer), dict[str, int | slice]()
    corners = viewport.corners(layer) if viewport.is_plane else None
    shown = viewport.displayed_axes(layer)
    for axis, letter in enumerate(letters.replace("S", "")):
        start, length = region[axis].start, region[axis].stop - region[axis].start
        if letter not in "YX":
            found[letter] = int(np.clip(round(float(position[axis])) - start, 0, length - 1))
        elif corners is not None and axis in shown:
            ends = corners[:, axis].min(), corners[:, axis].max()
            first, last = (int(np.clip(round(float(end)) - start, 0, length)) for end in ends)
            if last > first:
                found[letter] = slice(first, last)
    return found


def part_as_layer(view: View, layer: ImageLayer, letters: str, region: Region) -> tuple[Any, dict[str, Any]]:
    """Return the pixels of a part in the axes of its layer, and the arguments of the layer that shows it there.

    Parameters
    ----------
    view : View
        The part.
    layer, letters, region
        See `seen_part`.
    """
    pixels = view.pixels if letters.index("Y") < letters.index("X") else np.swapaxes(view.pixels, 0, 1)
    lengths = {letter: view.region[letter].stop - view.region[letter].start for letter in letters}
    spatial = letters.replace("S", "")
    start = [view.region[letter].start + region[axis].start for axis, letter in enumerate(spatial)]
    arguments = {
        "name": f"{layer.name} · step {view.step}", "translate": translation_of(layer, start), "scale": layer.scale,
        "rotate": layer.rotate, "shear": layer.shear, "units": layer.units, "axis_labels": layer.axis_labels,
        "metadata": {"napari_restore": {"preview": True}},
    }  # fmt: skip
    if not layer.rgb:
        arguments |= {"contrast_limits": layer.contrast_limits, "colormap": layer.colormap, "gamma": layer.gamma}
    return pixels.reshape([lengths[letter] for letter in letters]), arguments
