"""Blobs as a camera records them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_restore.intensity.fusion import FusionNoise
from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["CAMERA", "NOISE", "exposed", "noisy_blobs", "structure"]

CAMERA = CameraNoise(gain=2.0, offset=100.0, read_noise=3.0)
NOISE = FusionNoise(CAMERA)


def structure(size: int = 160, seed: int = 0) -> NDArray[np.float64]:
    """Blobs on a dark ground, in photons."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(size, size)), 4)
    return 40 * np.clip(field / field.std(), 0, None)


def exposed(photons: NDArray[np.float64], seed: int) -> NDArray[np.uint16]:
    rng = np.random.default_rng([7, seed])
    counts = CAMERA.offset + CAMERA.gain * rng.poisson(photons) + rng.normal(0, CAMERA.read_noise, photons.shape)
    return np.rint(counts).clip(0, 65535).astype(np.uint16)


def noisy_blobs() -> NDArray[np.uint16]:
    """Three planes ZYX of ragged size."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:75, :110]
    signal = 200 + 800 * np.stack([np.sin(y / 9 + z) ** 2 * np.cos(x / 7) ** 2 for z in range(3)])
    return rng.poisson(signal).astype(np.uint16)
