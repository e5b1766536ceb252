"""Find sources that cannot teach a network: with hardly any noise, compressed, or unlike their targets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_restore.adapting.crops import SourceCrop, local_mean
from napari_restore.wording import percent

__all__ = ["blocks_of_jpeg", "share_noise", "too_clean", "unlike_clean"]

_HARDLY_ANY = 0.004
"""Standard deviation of the noise, as a share of the value range, below which there is nothing to learn from."""
_SHARED = 0.3
"""Variance of the difference of two planes, in that of two planes of independent noise, below which they have noise in
common: the estimated variance is off by up to 40 %."""
_BLOCKY = 1.05
"""Steps between pixels at the borders of blocks of 8, relative to the others, from which an image counts as a JPEG."""
_LEVELS = 5
"""Groups of pixels by the values of clean images, in which these are compared with noisy ones."""
_SAME_UNITS = 0.5
"""Largest difference of means of noisy and clean images at one level, in standard deviations of the noise."""


def unlike_clean(crops: Sequence[SourceCrop]) -> str:
    """Describe how noisy and clean images differ in more than noise; empty if they do not.

    Means of noisy pixels at low, middle and high levels of the clean images have to be these levels.

    Parameters
    ----------
    crops : sequence of SourceCrop
        Noisy crops, whose partners are clean.
    """
    noisy = np.concatenate([local_mean(crop.pixels, crop.there)[crop.there] for crop in crops])
    clean = np.concatenate(
        [local_mean(crop.partner, crop.there)[crop.there] for crop in crops if crop.partner is not None]
    )
    sigma = math.sqrt(float(np.mean([crop.variance[crop.there].mean() for crop in crops])))
    for part in np.array_split(np.argsort(clean, kind="stable"), _LEVELS):
        away = float(noisy[part].mean() - clean[part].mean()) / sigma
        if abs(away) > _SAME_UNITS:
            return (
                f"where the clean images have similar values, the noisy ones differ from them by {away:+.1f} standard "
                "deviations of the noise on average: they have other units, or show another place"
            )
    return ""


def too_clean(share: float) -> str:
    """Describe why an image with this noise, as a share of its value range, teaches nothing; empty if it does."""
    if share >= _HARDLY_ANY:
        return ""
    return f"the source has hardly any noise ({percent(share)} of its value range): it may be denoised already"


def share_noise(crops: Sequence[SourceCrop]) -> bool:
    """Return whether neighbouring planes have noise in common: one is a copy, or each is a running average."""
    differences = [
        float(np.mean((crop.partner - crop.pixels)[crop.there] ** 2) / (2 * crop.variance[crop.there].mean()))
        for crop in crops
        if crop.partner is not None
    ]
    return bool(differences) and float(np.median(differences)) < _SHARED


def blocks_of_jpeg(crops: Sequence[SourceCrop]) -> bool:
    """Return whether steps between pixels are larger at the borders of blocks of 8 x 8 pixels along both axes."""
    return all(_step_at_borders(crops, axis) > _BLOCKY for axis in (-1, -2))


def _step_at_borders(crops: Sequence[SourceCrop], axis: int) -> float:
    """Return the step at the multiples of 8 from the image's origin, relative to that elsewhere.

    The median counts: the seams of a mosaic are at multiples of 8 too, but at a few of them.
    """
    steps: list[list[float]] = [[] for _ in range(8)]
    for crop in crops:
        along = np.abs(np.diff(crop.pixels, axis=axis)).mean(axis=(0, -2 if axis == -1 else -1))
        for place, step in enumerate(along, start=crop.origin[axis] + 1):
            steps[place % 8].append(float(step))
    medians = [float(np.median(each)) if each else 0.0 for each in steps]
    usual = float(np.median(medians[1:]))
    return medians[0] / usual if usual > 0 else 1.0
