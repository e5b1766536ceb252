"""Average a plane with its neighbours in time or depth, pixel by pixel, where they agree.

A stack shows nearly the same structure several times, each time with different noise. The weight of a neighbour at a
pixel depends on how well it agrees there with the plane. Both are stabilised to noise of standard deviation 1
(`CameraNoise.stabilise`), the neighbour is warped by its estimated displacement
(`napari_restore.intensity.displacement`), and the difference is low-passed and squared. What noise alone makes of it
nearly everywhere is subtracted, and ``weight = exp(-excess / h**2)``. The values that are averaged are not stabilised,
so the mean has no bias where the structure is the same. The method follows ND-SAFIR (Boulanger et al., IEEE TMI 29,
2010: stabilise, compare patches of several planes, average what agrees) and CANDLE (Coupe et al., Medical Image
Analysis 16, 2012: compare filtered patches); a trained network takes the place of further passes.

Differences are measured at three scales, and the largest counts: a scale of about 9 pixels; a finer one for specks,
which the middle scale would average away; and a coarser one for faint shapes, which are below the noise at each pixel.

Every number depends only on the pixels within `REACH`. A part of the planes gives the same bits as the whole if it
begins at a multiple of `STEP` in both directions and has `REACH` more pixels on each inner side.
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
from napari_restore.intensity.displacement import STEP, search, steps_to_pixels, warp
from napari_restore.intensity.local_means import gaussian, noise_gain, separable
from napari_restore.intensity.scaling import missing
from napari_restore.intensity.stabilise import CameraNoise

__all__ = ["REACH", "STEP", "VERSION", "Fused", "FusionNoise", "Missing", "Neighbour", "fuse"]

VERSION = 3
"""Version of the method, part of the fingerprint of runs with neighbours: increase it if a change moves the pixels."""

Plane = npt.NDArray[np.float32]
Gains = tuple[float, float, float]
Missing = Callable[[npt.NDArray[Any]], npt.NDArray[np.bool_] | None]
"""Function that returns a boolean mask of the pixels of ``(..., h, w)`` that are no image; None if all are."""

_FINE, _MIDDLE = gaussian(0.8), gaussian(1.5)
_COARSE = gaussian(math.sqrt(4.0**2 - 1.5**2) / 2)
"""At half the resolution, after `_MIDDLE`: 4 pixels in all."""
_WINDOWS = (np.full(3, 1 / 3), np.full(5, 1 / 5), np.full(7, 1 / 7))
"""Windows over which squared differences are averaged: one in pixels, two in pixels of half the resolution."""
_BY_CHANCE = (2.9, 2.1, 2.9)
"""Mean squared difference at each scale up to which a neighbour has its full weight, divided by the expected value for
noise alone: noise alone exceeds it at 3 % of the pixels. With a lower limit, weights fall where the noise of the plane
is far from its mean, so this noise remains, and flickers, because it is another one in each plane."""
_TOLERANCES = (0.7, 0.35, 0.25)
"""Difference at each scale, in standard deviations of the noise of a pixel, at which a weight is 1/e."""
_MOVED = 0.7
"""Excess added where a displacement is more than a pixel: the best of many always agrees better than by chance."""
_LAST = 8.0
"""Excess, in squared tolerances, at which a weight becomes exactly 0."""
_GATE = max(
    len(_FINE) // 2 + len(_WINDOWS[0]) // 2,
    len(_MIDDLE) // 2 + 2 * (len(_COARSE) // 2 + len(_WINDOWS[2]) // 2 + 1),
)
_MISSING = 2
"""Distance, in pixels, of the pixels that decide whether a pixel is image."""
REACH = -(-(_GATE + displacement.REACH + _MISSING) // STEP) * STEP
"""Distance, in pixels, of the farthest pixels that a fused pixel depends on."""


@dataclass(frozen=True)
class FusionNoise:
    """Noise model of a channel for fusion.

    Parameters
    ----------
    camera : CameraNoise
        Noise variance as a function of the level.
    correlation : (float, float)
        Autocorrelation between neighbouring pixels along y and x.
    """

    camera: CameraNoise
    correlation: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Neighbour:
    """A neighbouring plane of the stack and its brightness.

    Parameters
    ----------
    pixels : numpy.ndarray
        Of the plane's shape, data units.
    gain, offset : float
        Brightness relative to the plane: a value of the plane is ``gain * value + offset`` in the neighbour.
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
        Of the plane's shape, floating-point, data units; missing pixels are unchanged.
    planes : numpy.ndarray
        Shape ``(h, w)``, float32: number of planes averaged at each pixel, 1 for the plane itself plus the neighbours'
        weights.
    noise : numpy.ndarray
        Shape ``(h, w)``, float32: standard deviation of the remaining noise, as a share of the plane's own.
    weights : tuple of float
        Mean weight of each neighbour in the inner part of the plane, in [0, 1].
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
    inner: tuple[slice, slice] = (slice(None), slice(None)),
) -> Fused:
    """Average a plane with its neighbours where they agree with it.

    Parameters
    ----------
    plane : numpy.ndarray
        Shape ``(h, w)``, or ``(samples, h, w)`` for colour samples, which share one weight; integer or floating-point,
        data units.
    neighbours : sequence of Neighbour
        Of the same shape; without neighbours the plane itself is returned.
    noise : FusionNoise
        Noise of the channel.
    strength : float
        Factor on the tolerances, greater than 0; a larger one averages planes that differ more.
    missing : callable
        Returns the mask of the pixels that are no image, as `napari_restore.intensity.validity.Validity.missing` does;
        it may depend on pixels up to 2 pixels away. Such pixels are kept in the plane, are not used of a neighbour, and
        do not change the pixels beside them.
    inner : (slice, slice)
        Rows and columns over which the weights are averaged; by default the whole plane.

    Returns
    -------
    Fused
        The averaged plane, and how much of each neighbour is in it.

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
    own = _stabilised(plane, own_missing, noise.camera)
    values = plane.astype(np.result_type(plane.dtype, np.float32))
    planes, variance = np.ones(plane.shape[-2:], np.float32), np.ones(plane.shape[-2:], np.float32)
    total, means = values.copy(), []
    for neighbour in neighbours:
        lacking, matched = missing(neighbour.pixels), _match_brightness(neighbour)
        other = _stabilised(matched, lacking, noise.camera)
        either = lacking if own_missing is None else own_missing if lacking is None else own_missing | lacking
        relative = _relative_variance(neighbour, noise.camera)
        weight, shift = _weight(own, other, either, noise, strength, relative)
        matched = warp(matched, shift)
        if lacking is not None:
            lacking = warp(lacking, shift)
            weight[lacking.any(axis=0) if lacking.ndim > 2 else lacking] = 0
            matched = np.where(lacking, 0, matched)
        total += weight * matched
        planes += weight
        variance += weight * weight * np.float32(relative) * _between_pixels(shift, noise, weight.shape)
        means.append(float(weight[inner].mean(dtype=np.float64)))
    total /= planes
    if own_missing is not None:
        total[own_missing] = values[own_missing]
    return Fused(total, planes, np.asarray(np.sqrt(variance) / planes, np.float32), tuple(means))


def _stabilised(values: npt.NDArray[Any], lacking: npt.NDArray[np.bool_] | None, camera: CameraNoise) -> Plane:
    """Convert values to units of the noise; missing pixels get the value of the offset."""
    return camera.stabilise(values if lacking is None else np.where(lacking, camera.offset, values)).astype(np.float32)


def _match_brightness(neighbour: Neighbour) -> npt.NDArray[np.floating]:
    """Convert the values of a neighbour to the brightness of the plane."""
    values = neighbour.pixels.astype(np.result_type(neighbour.pixels.dtype, np.float32))
    if (neighbour.gain, neighbour.offset) != (1.0, 0.0):
        values = (values - values.dtype.type(neighbour.offset)) / values.dtype.type(neighbour.gain)
    return values


def _between_pixels(shift: displacement.Displacement, noise: FusionNoise, shape: tuple[int, int]) -> Plane:
    """Compute the factor on the variance of noise where a displacement averages the pixels on both sides."""
    factor = np.ones(shift.y.shape, np.float32)
    for along, correlation in zip(shift, noise.correlation, strict=True):
        factor[(along & 1) == 1] *= np.float32((1 + correlation) / 2)
    return steps_to_pixels(factor, shape)


def _relative_variance(neighbour: Neighbour, camera: CameraNoise) -> float:
    """Compute the noise variance of a neighbour at the brightness of the plane, relative to that of the plane."""
    return 1 / neighbour.gain if camera.gain else 1 / neighbour.gain**2


def _weight(
    own: Plane,
    other: Plane,
    either: npt.NDArray[np.bool_] | None,
    noise: FusionNoise,
    strength: float,
    relative: float,
) -> tuple[Plane, displacement.Displacement]:
    """Compute the weight of a neighbour at each pixel, and its displacement."""
    if either is not None:  # pixels that are missing in one of the two show no difference
        other = np.where(either, own, other)
    white, gains = _noise_gains((0.0, 0.0)), _noise_gains(noise.correlation)
    shift = search(own, other, gains[1] / white[1])
    difference = own - warp(other, shift)
    excess = _excess(difference, gains, white, 1 + relative)
    if shift.any:
        excess += np.float32(_MOVED) * steps_to_pixels((abs(shift.y) > 2) | (abs(shift.x) > 2), excess.shape)
    excess *= np.float32(2 / (1 + relative) / strength**2)
    # (1 - x / 8) ** 8 approximates exp(-x) and has the same bits on every processor.
    weight = np.maximum(1 - excess / np.float32(_LAST), 0)
    for _ in range(3):
        weight *= weight
    return weight * np.float32(min(1.0, 1 / relative)), shift


def _excess(difference: Plane, gains: Gains, white: Gains, expected: float) -> Plane:
    """Compute the largest excess of three scales: squared difference beyond that by chance, in squared tolerances.

    Correlated noise keeps more variance at each scale; the tolerances grow by the same factor.
    """
    low = separable(difference, _MIDDLE)
    half = low[..., ::2, ::2]
    planes = (separable(difference, _FINE), half, separable(half, _COARSE))
    fine, middle, coarse = (
        _excess_at_scale(plane, over, expected * chance * gain, tolerance**2 * gain / alone)
        for plane, over, chance, gain, alone, tolerance in zip(
            planes, _WINDOWS, _BY_CHANCE, gains, white, _TOLERANCES, strict=True
        )
    )
    return np.maximum(_upsample(np.maximum(middle, coarse), fine.shape), fine)


def _excess_at_scale(low: Plane, over: npt.NDArray[np.float64], by_chance: float, tolerated: float) -> Plane:
    found = separable(low * low, over)
    found = found.max(axis=0) if found.ndim > 2 else found
    found -= np.float32(by_chance)
    np.maximum(found, 0, out=found)
    found *= np.float32(1 / tolerated)
    return found


@lru_cache(maxsize=64)
def _noise_gains(correlation: tuple[float, float]) -> Gains:
    """Compute the variance of the low-passed noise at each scale."""
    spread = np.zeros(2 * len(_COARSE) - 1)
    spread[::2] = _COARSE
    kernels = (_FINE, _MIDDLE, np.convolve(_MIDDLE, spread))
    fine, middle, coarse = (noise_gain(kernel, correlation) for kernel in kernels)
    return fine, middle, coarse


def _upsample(half: Plane, shape: tuple[int, ...]) -> Plane:
    """Interpolate linearly from half the resolution to the full one."""
    result = np.empty(shape, np.float32)
    rows = np.empty((half.shape[0], shape[1]), np.float32)
    rows[:, ::2] = half
    rows[:, 1::2] = (half[:, : shape[1] // 2] + _following(half, 1)[:, : shape[1] // 2]) * np.float32(0.5)
    result[::2] = rows
    result[1::2] = (rows[: shape[0] // 2] + _following(rows, 0)[: shape[0] // 2]) * np.float32(0.5)
    return result


def _following(values: Plane, axis: int) -> Plane:
    """Shift values by one along an axis; the last value is repeated."""
    last = values.shape[axis] - 1
    return np.asarray(np.take(values, np.minimum(np.arange(last + 1) + 1, last), axis=axis), np.float32)
