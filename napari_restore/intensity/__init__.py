"""Value ranges, data types and noise of arrays; this room knows nothing of files."""

from __future__ import annotations

from napari_restore.intensity.noise import NoiseEstimate, estimate_noise
from napari_restore.intensity.scaling import ValueRange, estimate_range, fill_missing, missing, put_back, to_dtype

__all__ = [
    "NoiseEstimate",
    "ValueRange",
    "estimate_noise",
    "estimate_range",
    "fill_missing",
    "missing",
    "put_back",
    "to_dtype",
]
