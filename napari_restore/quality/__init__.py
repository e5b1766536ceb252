"""Quality: how far an image is from a reference, from its tiles' borders being invisible, and from white residuals."""

from __future__ import annotations

from napari_restore.quality.metrics import fit_gain_offset, psnr, residual_autocorrelation, seam_ratio, ssim

__all__ = ["fit_gain_offset", "psnr", "residual_autocorrelation", "seam_ratio", "ssim"]
