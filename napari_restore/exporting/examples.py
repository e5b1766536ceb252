"""Make the images that an exported model is tested with, and the tensors that its network gets and returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_restore.images.opening import open_image
from napari_restore.models.card import ModelCard
from napari_restore.samples import sample_path

__all__ = ["PERCENTILES", "noisy_cells", "run", "scaled"]

PERCENTILES = (0.1, 99.9)
"""Percentiles of an image that become 0 and 1, as by default in a run."""
_EPSILON = 1e-6
"""What the format of bioimage.io adds to the range, so that a constant image is not divided by zero."""


def noisy_cells(card: ModelCard, side: int) -> NDArray[np.float32]:
    """Return a part of the bundled image for a model.

    Parameters
    ----------
    card : ModelCard
        The model. Models that super-resolve get the image without noise, because they keep noise.
    side : int
        Height and width, in pixels; at most those of the bundled image.

    Returns
    -------
    numpy.ndarray
        Shape ``(1, in_channels, side, side)``, in counts of the camera.
    """
    image = open_image(sample_path("cells_noisy" if card.scale == 1 else "cells_clean"))
    top, left = ((image.sizes[axis] - side) // 2 for axis in "YX")
    planes = image.read((slice(0, 3), slice(top, top + side), slice(left, left + side)))
    chosen: NDArray[np.float32] = planes[np.arange(card.in_channels) % 3][np.newaxis].astype(np.float32)
    return chosen


def scaled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale an image ``(1, c, h, w)`` so that its `PERCENTILES` become 0 and 1, as the format of bioimage.io does."""
    low, high = np.percentile(image, PERCENTILES)
    values: NDArray[np.float32] = ((image - low) / (high - low + _EPSILON)).astype(np.float32)
    return values


def run(network: nn.Module, image: NDArray[np.float32]) -> NDArray[Any]:
    """Run a network on one image, on the CPU in float32.

    Parameters
    ----------
    network : torch.nn.Module
        The network.
    image : numpy.ndarray
        Shape ``(1, c, h, w)``, values in about [0, 1].

    Returns
    -------
    numpy.ndarray
        Shape ``(1, out_channels, h * scale, w * scale)``, float32.
    """
    with torch.no_grad():
        result: NDArray[Any] = network(torch.from_numpy(image)).numpy()
    return result
