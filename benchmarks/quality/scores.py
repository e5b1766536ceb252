"""Scores of one result, and the borders of tiles at which seams are measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.sets import Pair
from napari_restore import api
from napari_restore.quality import fit_gain_offset, photometric_fit, psnr, residual_autocorrelation, seam_ratio, ssim
from napari_restore.tiling.grid import AxisTiling

__all__ = ["Scores", "noise_alone", "score", "tile_borders"]

Array = NDArray[np.floating]
Borders = tuple[list[int], list[int]]


@dataclass(frozen=True)
class Scores:
    """The scores of one result.

    Attributes
    ----------
    psnr, ssim : float
        On the pair's range, clipped to it, after a least-squares gain and offset where truth and image have each their
        own stretch.
    seconds : float
        Of processor time, of all cores together: other work on the machine hardly counts.
    seam : float
        `seam_ratio` of the result in the middle of the blended strips between tiles, divided by that of the truth
        at the same positions, which cannot have seams.
    along_y, along_x : float
        Autocorrelation at lag 1 of what was taken away: that of the noise, if only noise was.
    slope, offset : float
        `photometric_fit` of the result against the truth (against the noisy image where each has its own stretch),
        the offset as a share of the range.
    """

    psnr: float | None
    ssim: float | None
    seconds: float | None
    seam: float | None
    along_y: float
    along_x: float
    slope: float | None
    offset: float | None

    def rounded(self) -> list[float | None]:
        return [None if value is None or not math.isfinite(value) else float(f"{value:.4g}") for value in astuple(self)]


def score(pair: Pair, result: Array, seconds: float, borders: Borders = ([], [])) -> Scores:
    truth, noisy = (_planes(image) for image in (pair.truth, pair.noisy))
    restored = _planes(result)
    fits = [fit_gain_offset(a, b) if pair.stretched else (1.0, 0.0) for a, b in zip(restored, truth, strict=True)]
    shown = np.stack([gain * plane + offset for plane, (gain, offset) in zip(restored, fits, strict=True)])
    unit_truth, unit = (np.clip((image - pair.low) / (pair.high - pair.low), 0, 1) for image in (truth, shown))
    photometric = [photometric_fit(a, b) for a, b in zip(restored, noisy if pair.stretched else truth, strict=True)]
    slope, offset = np.mean(photometric, axis=0)
    return Scores(
        psnr(unit_truth, unit, 1.0),
        ssim(unit_truth, unit, 1.0, channel_axis=0),
        seconds,
        _seams(restored, truth, borders),
        *_whiteness(noisy - restored),
        float(slope),
        float(offset - pair.low * (1 - slope)) / (pair.high - pair.low),
    )


def noise_alone(pair: Pair) -> Scores:
    """The autocorrelation that the residual of a perfect result would have."""
    noisy, truth = _planes(pair.noisy), _planes(pair.truth)
    fits = [fit_gain_offset(a, b) if pair.stretched else (1.0, 0.0) for a, b in zip(truth, noisy, strict=True)]
    as_seen = np.stack([gain * plane + offset for plane, (gain, offset) in zip(truth, fits, strict=True)])
    return Scores(None, None, None, None, *_whiteness(noisy - as_seen), None, None)


def tile_borders(model: str, pair: Pair) -> Borders:
    """Rows and columns in the middle of the blended strips between tiles, and beside them."""
    grid = api.plan(pair.noisy, model=model, axes=pair.axes).grid
    return _middles(grid.y), _middles(grid.x)


def _middles(tiling: AxisTiling) -> list[int]:
    middles = [tiling.seam(k) + tiling.blend // 2 for k in range(1, tiling.count)]
    return sorted({p + step for p in middles for step in (-1, 0, 1)})


def _planes(image: Array) -> Array:
    return np.moveaxis(np.atleast_3d(image), -1, 0).astype(np.float64)


def _whiteness(residual: Array) -> Sequence[float]:
    along_y, along_x = np.mean([residual_autocorrelation(plane) for plane in residual], axis=0)
    return float(along_y), float(along_x)


def _seams(restored: Array, truth: Array, borders: Borders) -> float | None:
    if not any(borders):
        return None
    ratios = [seam_ratio(a, *borders) / seam_ratio(b, *borders) for a, b in zip(restored, truth, strict=True)]
    return float(np.mean(ratios))
