"""Areas of a tile beyond the valid range, which are restored with a value range of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.planning.normalisation import Scale

__all__ = ["OutlyingAreas"]


@dataclass
class OutlyingAreas:
    """The areas of a tile that lie outside the valid range.

    The tile goes through the network a second time, normalised for these areas. The two results are merged like two
    exposures of one scene.

    Attributes
    ----------
    areas : numpy.ndarray
        Mask of the areas, ``(channels, height, width)`` of the tile.
    scale : Scale
        Normalisation of the areas.
    first : numpy.ndarray or None
        Result for the other pixels, once it is computed.
    """

    areas: NDArray[np.bool_]
    scale: Scale
    first: NDArray[np.float32] | None = None

    def merged(self, second: NDArray[np.float32], scale: Scale) -> NDArray[np.float32]:
        """Replace the areas of the first result by those of the second, normalised as the first."""
        assert self.first is not None
        areas: NDArray[np.bool_] = self.areas
        if len(second) not in (len(areas), 2 * len(areas)):
            areas = np.logical_or.reduce(areas, axis=0, keepdims=True)
        factor = second.shape[-1] // areas.shape[-1]
        if len(second) == 2 * len(areas):  # of an ensemble: the mean, and the mean plus the spread
            areas = np.concatenate([areas, areas])
        areas = areas.repeat(factor, axis=-2).repeat(factor, axis=-1)
        return np.where(areas, scale.normalise(self.scale.restore(second)), self.first)
