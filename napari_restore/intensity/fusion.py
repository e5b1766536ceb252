"""Fusion of a plane with its neighbours in time or depth: what they agree on is averaged, pixel by pixel.

A stack shows nearly the same structure several times with other noise. A neighbour counts at a pixel as much as it
agrees there with the plane: both are brought to noise of standard deviation 1 (`CameraNoise.stabilise`), the
structure that moved is searched for (`napari_restore.intensity.displacement`), and their difference is low-passed
and squared. What noise alone makes of it is subtracted, and ``weight = exp(-excess / h**2)``. The mean itself is of the
values as they are, which is free of bias where the structure is the same. In the line of ND-SAFIR (Boulanger et al.,
IEEE TMI 29, 2010: stabilise, compare patches of several planes, average what agrees) and CANDLE (Coupe et al., Medical
Image Analysis 16, 2012: compare filtered patches), with a trained network after it in place of more passes.

Differences are judged at three scales, and the worst judgement counts: one of about 9 pixels; a finer one for specks,
which would drown in it; and a coarser one for faint shapes, which are below the noise at each pixel.

Every number depends on the pixels within `REACH` and on nothing else: a part of the planes gives the same bits as the
whole, if it begins at a multiple of `STEP` in both directions and has `REACH` more pixels on each inner side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_restore.intensity import displacement
from napari_restore.intensity.displacement import STEP, moved, search, steps_to_pixels
from napari_restore.intensity.local_means import gaussian, noise_gain, separable
from napari_restore.intensity.scaling import missing
from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["REACH", "STEP", "Fused", "FusionNoise", "Missing", "Neighbour", "fuse"]

Plane = npt.NDArray[np.float32]
Gains = tuple[float, float, float]
Missing = Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_] | None]
"""Tells which pixels of ``(..., h, w)`` are no image; None if all are."""

_MARGIN = 1.1
"""What noise alone makes of a difference is taken to be so many times more, as an estimate may be off."""
_FINE, _MIDDLE = gaussian(0.8), gaussian(1.5)
_COARSE = gaussian(math.sqrt(4.0**2 - 1.5**2) / 2)
"""At half the resolution, after `_MIDDLE`: 4 pixels in all."""
_WINDOWS = (np.full(3, 1 / 3), np.full(5, 1 / 5), np.full(7, 1 / 7))
"""Over which squared differences are averaged: in pixels, and twice in pixels of half the resolution."""
_TOLERANCES = (0.7, 0.35, 0.25)
"""Difference at each scale, in standard deviations of the noise of a pixel, at which a weight is 1/e."""
_MOVED = 0.7
"""Added where structure was searched for: of many places one always agrees better than it should."""
_LAST = 8.0
"""Excess, in squared tolerances, at which a weight becomes exactly 0."""
_GATE = max(
    len(_FINE) // 2 + len(_WINDOWS[0]) // 2,
    len(_MIDDLE) // 2 + 2 * (len(_COARSE) // 2 + len(_WINDOWS[2]) // 2 + 1),
)
_MISSING = 2
"""Pixels beside a pixel that decide whether it is image."""
REACH = -(-(_GATE + displacement.REACH + _MISSING) // STEP) * STEP
"""Pixels on each side that a fused pixel depends on."""


@dataclass(frozen=True)
class FusionNoise:
    """The noise of a channel, as fusion needs to know it.

    Parameters
    ----------
    camera : CameraNoise
        Variance at each level.
    correlation : (float, float)
        Autocorrelation between neighbouring pixels along y and x.
    """

    camera: CameraNoise
    correlation: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Neighbour:
    """Another plane of the stack.

    Parameters
    ----------
    pixels : numpy.ndarray
        Of the plane's shape, data units.
    gain, offset : float
        Its brightness beside the plane's: of the same structure it shows ``gain * value + offset``.
    """

    pixels: npt.NDArray[Any]
    gain: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Fused:
    """A plane after fusion.

    Attributes
    ----------
    values : numpy.ndarray
        Of the plane's shape, floating-point, data units; missing pixels as they were.
    planes : numpy.ndarray
        Shape ``(h, w)``, float32: planes that agree at each pixel, 1 for the plane itself plus the neighbours' weights.
    noise : numpy.ndarray
        Shape ``(h, w)``, float32: standard deviation of the noise that is left, as a share of the plane's own.
    weights : tuple of float
        Mean weight of each neighbour, in [0, 1].
    """

    values: npt.NDArray[np.floating]
    planes: Plane
    noise: Plane
    weights: tuple[float, ...]


def fuse(
    plane: npt.NDArray[Any],
    neighbours: Sequence[Neighbour],
    noise: FusionNoise,
    *,
    strength: float = 1.0,
    missing: Missing = missing,
) -> Fused:
    """Average a plane with what its neighbours agree on.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(h, w)``, or ``(samples, h, w)`` for colour samples, which agree together or not at all; integer or
        floating-point, data units.
    neighbours : sequence of Neighbour
        Of the same shape; none gives the plane itself.
    noise : FusionNoise
        Of the channel.
    strength : float
        Factor on the tolerances: more than 0; with more, planes that differ more are averaged.
    missing : callable
        Tells which pixels of a plane are no image, as `napari_restore.intensity.validity.Validity.missing` does, from
        those up to 2 pixels away. They stay in the plane, do not count in a neighbour, and change nothing beside them.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = np.linspace(100, 900, 128) * np.ones((128, 1))
    >>> stack = [rng.poisson(truth) for _ in range(3)]
    >>> fused = fuse(stack[1], [Neighbour(stack[0]), Neighbour(stack[2])], FusionNoise(CameraNoise(1.0, 0.0, 1.0)))
    >>> bool(0.55 < (fused.values - truth).std() / (stack[1] - truth).std() < 0.65)
    True
    """
    own_missing = missing(plane)
    own = _stable(plane, own_missing, noise.camera)
    values = plane.astype(np.result_type(plane.dtype, np.float32))
    planes, variance = np.ones(plane.shape[-2:], np.float32), np.ones(plane.shape[-2:], np.float32)
    total, means = values.copy(), []
    for neighbour in neighbours:
        theirs, brought = _brought(neighbour, missing)
        other = _stable(brought, theirs, noise.camera)
        either = theirs if own_missing is None else own_missing if theirs is None else own_missing | theirs
        relative = _relative_variance(neighbour, noise.camera)
        weight, where = _weight(own, other, either, noise, strength, relative)
        brought, out = moved(brought, where), None if theirs is None else moved(theirs, where)
        if out is not None:
            weight[out.any(axis=0) if out.ndim > 2 else out] = 0
            brought = np.where(out, 0, brought)
        total += weight * brought
        planes += weight
        variance += weight * weight * np.float32(relative)
        means.append(float(weight.mean()))
    total /= planes
    if own_missing is not None:
        total[own_missing] = values[own_missing]
    return Fused(total, planes, np.asarray(np.sqrt(variance) / planes, np.float32), tuple(means))


def _stable(values: npt.NDArray[Any], out: npt.NDArray[np.bool_] | None, camera: CameraNoise) -> Plane:
    """Values in units of the noise; what is missing is at the offset."""
    return camera.stabilise(values if out is None else np.where(out, camera.offset, values)).astype(np.float32)


def _brought(neighbour: Neighbour, missing: Missing) -> tuple[npt.NDArray[np.bool_] | None, npt.NDArray[np.floating]]:
    """What a neighbour lacks, and its values at the brightness of the plane."""
    pixels = neighbour.pixels
    values = pixels.astype(np.result_type(pixels.dtype, np.float32))
    if (neighbour.gain, neighbour.offset) != (1.0, 0.0):
        values = (values - values.dtype.type(neighbour.offset)) / values.dtype.type(neighbour.gain)
    return missing(pixels), values


def _relative_variance(neighbour: Neighbour, camera: CameraNoise) -> float:
    """Variance of a neighbour's noise at the brightness of the plane, beside that of the plane's own."""
    return 1 / neighbour.gain if camera.gain else 1 / neighbour.gain**2


def _weight(
    own: Plane,
    other: Plane,
    either: npt.NDArray[np.bool_] | None,
    noise: FusionNoise,
    strength: float,
    relative: float,
) -> tuple[Plane, displacement.Displacement]:
    """How much a neighbour counts at each pixel, and what has moved."""
    if either is not None:  # pixels that one of the two lacks show no difference
        other = np.where(either, own, other)
    white, gains = _noise_gains((0.0, 0.0)), _noise_gains(noise.correlation)
    where = search(own, other, gains[1] / white[1])
    difference = own - moved(other, where)
    expected = _MARGIN * (1 + relative)
    excess = _excess(difference, gains, white, expected)
    if where.any:
        excess += np.float32(_MOVED) * steps_to_pixels((where.y != 0) | (where.x != 0), excess.shape)
    excess *= np.float32(2 / (1 + relative) / strength**2)
    # (1 - x / 8) ** 8 is exp(-x) but for the far end, and the same bits on every processor.
    weight = np.maximum(1 - excess / np.float32(_LAST), 0)
    for _ in range(3):
        weight *= weight
    return weight * np.float32(min(1.0, 1 / relative)), where


def _excess(difference: Plane, gains: Gains, white: Gains, expected: float) -> Plane:
    """The worst of three scales: squared differences less what noise makes of them, in squared tolerances.

    Of noise that is correlated between pixels, more is left at each scale, and tolerances are wider by as much.
    """
    low = separable(difference, _MIDDLE)
    half = low[..., ::2, ::2]
    planes = (separable(difference, _FINE), half, separable(half, _COARSE))
    fine, middle, coarse = (
        _judged(plane, over, expected * gain, tolerance**2 * gain / alone)
        for plane, over, gain, alone, tolerance in zip(planes, _WINDOWS, gains, white, _TOLERANCES, strict=True)
    )
    return np.maximum(_doubled(np.maximum(middle, coarse), fine.shape), fine)


def _judged(low: Plane, over: npt.NDArray[np.float64], by_noise: float, tolerated: float) -> Plane:
    found = separable(low * low, over)
    found = found.max(axis=0) if found.ndim > 2 else found
    found -= np.float32(by_noise)
    np.maximum(found, 0, out=found)
    found *= np.float32(1 / tolerated)
    return found


@lru_cache(maxsize=64)
def _noise_gains(correlation: tuple[float, float]) -> Gains:
    """Variance of the low-passed noise at each scale."""
    spread = np.zeros(2 * len(_COARSE) - 1)
    spread[::2] = _COARSE
    kernels = (_FINE, _MIDDLE, np.convolve(_MIDDLE, spread))
    fine, middle, coarse = (noise_gain(kernel, correlation) for kernel in kernels)
    return fine, middle, coarse


def _doubled(half: Plane, shape: tuple[int, ...]) -> Plane:
    """Interpolate from every second pixel to all."""
    result = np.empty(shape, np.float32)
    rows = np.empty((half.shape[0], shape[1]), np.float32)
    rows[:, ::2] = half
    rows[:, 1::2] = (half[:, : shape[1] // 2] + _next(half, 1)[:, : shape[1] // 2]) * np.float32(0.5)
    result[::2] = rows
    result[1::2] = (rows[: shape[0] // 2] + _next(rows, 0)[: shape[0] // 2]) * np.float32(0.5)
    return result


def _next(values: Plane, axis: int) -> Plane:
    """Each value's next one; the last one's is itself."""
    last = values.shape[axis] - 1
    return np.asarray(np.take(values, np.minimum(np.arange(last + 1) + 1, last), axis=axis), np.float32)
