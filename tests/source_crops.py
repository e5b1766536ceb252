"""What tests of adapting share: a plane as crops."""

from __future__ import annotations

import numpy as np

from napari_restore.adapting.crops import SourceCrop


def crops_of(plane: np.ndarray, side: int = 64) -> list[SourceCrop]:
    pixels, there, ones = plane.astype(np.float32), np.ones((1, side, side), bool), np.ones((1, side, side), np.float32)
    return [
        SourceCrop(pixels[None, y : y + side, x : x + side], there, ones, (y, x), 1.0)
        for y in range(0, plane.shape[0], side)
        for x in range(0, plane.shape[1], side)
    ]
