"""Measure the quality of restored images: similarity to a reference, resolution, seams and residuals."""

from __future__ import annotations

from napari_restore.quality.metrics import (
    fit_gain_offset,
    photometric_fit,
    psnr,
    residual_autocorrelation,
    seam_ratio,
    ssim,
)
from napari_restore.quality.resolution import fourier_ring_correlation, frc_resolution

__all__ = [
    "fit_gain_offset",
    "fourier_ring_correlation",
    "frc_resolution",
    "photometric_fit",
    "psnr",
    "residual_autocorrelation",
    "seam_ratio",
    "ssim",
]
