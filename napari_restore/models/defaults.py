"""Name the models that are used if none is given."""

from __future__ import annotations

__all__ = ["DENOISER", "UPSCALERS"]

DENOISER = "restormer-denoise-light"
"""Default model of `napari_restore.api.denoise`."""

UPSCALERS = {2: "swinir-x2-light", 4: "swinir-x4-light"}
"""Default models of `napari_restore.api.super_resolve`, by scale."""
