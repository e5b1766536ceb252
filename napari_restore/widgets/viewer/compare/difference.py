"""Show layers of source minus result."""

from __future__ import annotations

__all__ = ["DIFFERENCE", "differences_of", "show_differences"]

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.widgets.jobs.compare.pairs import Planes
from napari_restore.widgets.jobs.layers.image_layers import is_comparison

if TYPE_CHECKING:
    from napari.viewer import Viewer

DIFFERENCE = "difference · "
"""Prefix of the layer names; the name of the comparison follows, and a number if it has several results."""


def show_differences(viewer: Viewer, what: str, planes: Sequence[Planes], differences: Sequence[NDArray[Any]]) -> None:
    """Add a layer of each difference, white where nothing was changed. It replaces one of the same name.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    what : str
        Name of the comparison.
    planes : sequence of Planes
        The pixels that were compared, for each result layer.
    differences : sequence of ndarray
        Differences ``(h, w)``, or ``(h, w, samples)``, whose mean is shown.
    """
    for number, (plane, difference) in enumerate(zip(planes, differences, strict=True)):
        name = f"{DIFFERENCE}{what}" if len(planes) == 1 else f"{DIFFERENCE}{what} · {number}"
        if name in viewer.layers:
            viewer.layers.remove(name)
        _show(viewer, name, plane, difference)


def differences_of(viewer: Viewer, what: str) -> list[Any]:
    """Return the layers that `show_differences` has added for a comparison of this name.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        The viewer.
    what : str
        Name of the comparison.
    """
    name = f"{DIFFERENCE}{what}"
    # Not all names that begin so: those of the results 2 and 3 of a model begin with that of the first.
    named = [layer for layer in viewer.layers if layer.name == name or layer.name.startswith(f"{name} · ")]
    return [layer for layer in named if is_comparison(layer)]


def _show(viewer: Viewer, name: str, plane: Planes, difference: NDArray[Any]) -> None:
    gray = difference.mean(axis=-1) if difference.ndim == 3 else difference
    y, x = (plane.placed["axes"].index(letter) for letter in "YX")
    known = np.abs(gray[np.isfinite(gray)])
    reach = (float(np.percentile(known, 99.5)) if known.size else 0.0) or 1.0
    placed = {key: value for key, value in plane.placed.items() if key not in ("shape", "axes")}
    ordered = (gray if y < x else gray.T).reshape(plane.placed["shape"][: len(placed["scale"])])
    viewer.add_image(
        ordered, name=name, metadata={"napari_restore": {"comparison": True}}, rgb=False,
        contrast_limits=(-reach, reach), colormap="PiYG", **placed,
    )  # fmt: skip
