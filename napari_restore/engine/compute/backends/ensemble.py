"""Average the results of a network over the eight flips and rotations of its input."""

from __future__ import annotations

import torch
from torch import Tensor

from napari_restore.engine.compute.backends.backend import Backend

__all__ = ["ORIENTATIONS", "Ensemble", "turned", "turned_back"]

ORIENTATIONS = 8
"""Number of orientations of a square: four rotations, each of them flipped or not."""


def turned(tiles: Tensor, orientation: int) -> Tensor:
    """Rotate images by a number of quarter turns, after flipping them along x for orientations from 4.

    Parameters
    ----------
    tiles : torch.Tensor
        ``(..., height, width)``.
    orientation : int
        0 to 7; 0 leaves them as they are.

    Returns
    -------
    torch.Tensor
        ``(..., height, width)``, or ``(..., width, height)`` for odd orientations; contiguous.
    """
    flipped = tiles.flip(-1) if orientation >= 4 else tiles
    return flipped.rot90(orientation % 4, (-2, -1)).contiguous()


def turned_back(tiles: Tensor, orientation: int) -> Tensor:
    """Undo `turned`.

    Parameters
    ----------
    tiles : torch.Tensor
        Result of `turned`, or of a network of it.
    orientation : int
        0 to 7.
    """
    back = tiles.rot90(-(orientation % 4), (-2, -1))
    return back.flip(-1) if orientation >= 4 else back


class Ensemble(Backend):
    """A network whose result is the mean over the eight orientations of its input.

    The networks do not know flipped from upright images (training shows them all orientations), so the eight results
    differ by errors of the network alone, and a part of these errors cancels. It was introduced for super-resolution as
    "geometric self-ensemble" by Lim et al., arXiv 1707.02921, section 3.4.

    One orientation goes through the network after the other, so it needs no larger batch. Tiles that are not square are
    turned too: the network then has tiles of two shapes.

    Parameters
    ----------
    network : Backend
        The network.
    spread : bool
        Whether the result has twice the channels: the mean, and then the mean plus the standard deviation of one of the
        eight results. The sum, and not the standard deviation itself, because it can be blended and brought to data
        units exactly like the mean.
    """

    def __init__(self, network: Backend, *, spread: bool = False) -> None:
        self._network, self._spread = network, spread

    def __call__(self, tiles: Tensor) -> Tensor:
        first = self._oriented(tiles, 0).float().clone()  # the network may reuse the memory of its result
        # Sums of differences from the first result, as squares of the results themselves would round the spread away.
        total, squares = torch.zeros_like(first), torch.zeros_like(first)
        for orientation in range(1, ORIENTATIONS):
            apart = self._oriented(tiles, orientation) - first
            total += apart
            if self._spread:
                squares += apart.square()
        mean = first + total / ORIENTATIONS
        if not self._spread:
            return mean
        variance = (squares - total.square() / ORIENTATIONS) / (ORIENTATIONS - 1)
        return torch.cat([mean, mean + variance.clamp_min(0).sqrt()], dim=1)

    def _oriented(self, tiles: Tensor, orientation: int) -> Tensor:
        """Return the result of one orientation, turned back."""
        return turned_back(self._network(turned(tiles, orientation)), orientation)
