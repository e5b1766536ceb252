"""Compare noisy images with clean ones of the same fields, before these become targets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from napari_restore.adapting.crops import SourceCrop, local_mean

__all__ = ["unlike_clean"]

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
