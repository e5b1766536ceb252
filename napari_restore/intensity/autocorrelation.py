"""Measure the autocorrelation of the noise of planes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["CLIPPED", "autocorrelation", "covariance_of"]

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CLIPPED = 0.02
"""Share of a block's pixels at the data's extremes from which it is left out."""
_FLAT_BLOCK = 16  # side of the blocks on which the autocorrelation is measured
_FLATTEST = 0.15  # part of these blocks that is used


def covariance_of(size: int, rho: float) -> Floats:
    """Return the covariance along an axis of white noise blurred by a Gaussian: ``rho ** lag^2``."""
    lag = np.subtract.outer(np.arange(size), np.arange(size)).astype(np.float64)
    covariance: Floats = max(rho, 0.0) ** lag**2
    return covariance


def autocorrelation(
    planes: Sequence[Floats], clipped: Sequence[Mask], variance: Callable[[Floats], Floats]
) -> tuple[float, float] | None:
    """Measure the autocorrelation of the noise along y and x at lag 1, on the flattest blocks for their level.

    Parameters
    ----------
    planes : sequence of numpy.ndarray
        Planes ``(h, w)`` in data units, NaN where pixels are missing.
    clipped : sequence of numpy.ndarray
        Boolean masks of the pixels at the data's extremes, of the same shapes.
    variance : callable
        Returns the variance of the noise at levels.

    Returns
    -------
    (float, float) or None
        Along y and x, -1 to 0.95; None for fewer than four blocks without missing pixels, 0 for blocks without noise.
    """
    blocks = np.concatenate([_flat_blocks(plane, bad) for plane, bad in zip(planes, clipped, strict=True)])
    if len(blocks) < 4:
        return None
    levels = blocks.mean(axis=1)
    basis = _plane_basis()
    residual = blocks - (blocks @ basis) @ basis.T
    power = (residual**2).mean(axis=1)
    power[power <= 1e-24 * (blocks**2).mean(axis=1)] = np.inf  # rounding errors only: such a block has no noise
    expected = variance(levels)
    flatness = power / np.maximum(expected, 1e-3 * expected.max() or 1.0)
    keep = np.argsort(flatness, kind="stable")[: max(4, int(len(blocks) * _FLATTEST))]
    keep = keep[np.isfinite(power[keep])]
    if keep.size == 0:
        return 0.0, 0.0
    fields = residual[keep].reshape(-1, _FLAT_BLOCK, _FLAT_BLOCK)
    along_y = np.median((fields[:, 1:] * fields[:, :-1]).mean((1, 2)) / power[keep])
    along_x = np.median((fields[:, :, 1:] * fields[:, :, :-1]).mean((1, 2)) / power[keep])
    return _undo_detrending(float(along_y), float(along_x))


def _flat_blocks(plane: Floats, clipped: Mask) -> Floats:
    """Return the usable non-overlapping blocks of a plane, shape ``(n, pixels)``."""
    side = _FLAT_BLOCK
    height, width = (n // side for n in plane.shape)

    def cut(values: Floats) -> Floats:
        part = values[: height * side, : width * side].reshape(height, side, width, side)
        rows: Floats = part.swapaxes(1, 2).reshape(-1, side * side)
        return rows

    blocks = cut(plane)
    usable = np.isfinite(blocks).all(axis=1) & (cut(clipped.astype(np.float64)).mean(axis=1) <= CLIPPED)
    kept: Floats = blocks[usable]
    return kept


def _undo_detrending(along_y: float, along_x: float) -> tuple[float, float]:
    """Compute the autocorrelation of the noise that becomes `along_y` and `along_x` when a fitted plane is removed."""
    rho_y, rho_x = along_y, along_x
    for _ in range(8):
        expected_y, expected_x = _detrended(round(rho_y, 4), round(rho_x, 4))
        rho_y = min(max(rho_y + along_y - expected_y, -1.0), 0.95)
        rho_x = min(max(rho_x + along_x - expected_x, -1.0), 0.95)
    return rho_y, rho_x


@lru_cache(maxsize=64)
def _detrended(rho_y: float, rho_x: float) -> tuple[float, float]:
    """Compute the autocorrelation at lag 1 of correlated noise in a block after a fitted plane is removed."""
    side = _FLAT_BLOCK
    basis = _plane_basis()
    covariance = np.kron(covariance_of(side, rho_y), covariance_of(side, rho_x))
    covariance -= basis @ (basis.T @ covariance)
    covariance -= (covariance @ basis) @ basis.T
    pairs = covariance.reshape(side, side, side, side)
    power = np.einsum("ijij", pairs) / side**2
    along_y = np.einsum("ijij", pairs[1:, :, :-1, :]) / (side * (side - 1))
    along_x = np.einsum("ijij", pairs[:, 1:, :, :-1]) / (side * (side - 1))
    return float(along_y / power), float(along_x / power)


@lru_cache(maxsize=1)
def _plane_basis() -> Floats:
    """Return an orthonormal basis of the planes ``a + b y + c x`` over a block, shape ``(pixels, 3)``."""
    y, x = (axis.ravel() for axis in np.indices((_FLAT_BLOCK, _FLAT_BLOCK)) - (_FLAT_BLOCK - 1) / 2)
    basis: Floats = np.linalg.qr(np.stack([np.ones_like(x), y, x], axis=1))[0]
    return basis
