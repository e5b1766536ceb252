"""Pad whole images as the test scripts of the networks' authors do."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_restore.models.card import ModelCard

__all__ = ["authors_padded", "fitted"]

T = TypeVar("T", bound=np.generic)


def authors_padded(image: NDArray[T], card: ModelCard) -> NDArray[T]:
    """Pad an image at its lower and right border as the network's authors do.

    Parameters
    ----------
    image : numpy.ndarray
        ``(channels, height, width)``.
    card : ModelCard
        Model. SwinIR appends the mirrored image, edge row included, up to the *next* multiple of the window: a height
        that is already a multiple grows by a whole window. The padding is at most as large as the image, so it is
        smaller for an image of less than half a window. Restormer reflects about the edge row up to a multiple of 8.

    Returns
    -------
    numpy.ndarray
        The padded image.
    """
    height, width = image.shape[-2:]
    step = card.alignment
    if card.architecture == "swinir":
        pads = [min((length // step + 1) * step - length, length) for length in (height, width)]
        mode: Any = "symmetric"
    else:
        pads = [-length % step for length in (height, width)]
        mode = "reflect"
    return np.pad(image, ((0, 0), (0, pads[0]), (0, pads[1])), mode=mode)


def fitted(image: NDArray[T], height: int, width: int) -> NDArray[T]:
    """Crop an image at its lower and right border, or pad it there with zeros, to a height and width."""
    rows, columns = max(0, height - image.shape[-2]), max(0, width - image.shape[-1])
    return np.pad(image[..., :height, :width], ((0, 0), (0, rows), (0, columns)))
