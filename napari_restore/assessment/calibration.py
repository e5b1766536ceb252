"""Calibrate what noise alone looks like in a residual, from an evenly spread sample of source and result."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_restore.assessment.pairing import Floats, Paired
from napari_restore.engine.planning.sampling import sample_planes, spread_regions
from napari_restore.errors import SourceError
from napari_restore.intensity.bulk import fill_values, robust_range, valid_range, without_fill
from napari_restore.intensity.noise import NoiseEstimate, estimate_noise
from napari_restore.intensity.scaling import fill_missing
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.intensity.validity import Validity
from napari_restore.quality.metrics import seam_ratio
from napari_restore.quality.residual_tests import contrast_lost, detail
from napari_restore.quality.structure import filter_count, filtered
from napari_restore.ways_out import WayOut

__all__ = ["Null", "Standardised", "calibrate", "in_units_of", "sample_pairs", "standardise"]

Mask = npt.NDArray[np.bool_]

_CROPS, _CROP = 12, 256
_WINSORISED = 6.0
"""Standardised residuals beyond are cut: one hot pixel must not look like structure."""
_NOTHING = 0.03
"""Standard deviation of the residual, relative to the noise, below which nothing was removed."""
_SCALE = (0.1, 1.25)
"""Limits of the measured standard deviation of the residual, relative to the estimate, which is within 19 %."""
_FACTOR = 1.5
"""Largest correction for noise whose correlation is longer than that of the model."""
_UNDERESTIMATED = 0.1
"""By how much the autocorrelation may be underestimated."""
_NORMAL = 1.4826
"""Standard deviation of normal numbers over their median absolute deviation."""
_OUTER = (0.9, 1.6449)
"""Share of normal numbers that lie within so many standard deviations."""
_LEVELS = 8
_FEW_PIXELS = 2000
_UNITS = 3.0
"""Ratio of contrasts from which source and result have other units; less may be contrast that was lost."""
_JPEG = 1.15
"""Gradient across the borders of 8 x 8 blocks, relative to others, from which an image was compressed as JPEG."""


@dataclass(frozen=True, eq=False)
class Null:
    """What the residual of a channel is if noise alone was taken away.

    Attributes
    ----------
    camera : CameraNoise
        Noise of the source.
    correlation : (float, float)
        Autocorrelation of the noise along y and x.
    validity : Validity
        Which pixels are image.
    bias : (numpy.ndarray, numpy.ndarray)
        Levels, and mean of the stabilised noisy values minus the stabilised mean at these levels.
    scale : (numpy.ndarray, numpy.ndarray)
        Levels, and standard deviation of the standardised residual at these levels.
    factors : tuple of float
        Standard deviation of each filter's response, relative to the expected one.
    contrast_factor : float
        The same of the test of local contrast.
    removed : float
        Robust standard deviation of the residual over that of the estimated noise.
    notes : tuple of str
        What has to be known.
    """

    camera: CameraNoise
    correlation: tuple[float, float]
    validity: Validity
    bias: tuple[Floats, Floats]
    scale: tuple[Floats, Floats]
    factors: tuple[float, ...] = ()
    contrast_factor: float = 1.0
    removed: float = 1.0
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Standardised:
    """A plane, standardised.

    Attributes
    ----------
    residual : numpy.ndarray
        Noisy minus restored in standard deviations, float32; 0 where not valid.
    contrast : numpy.ndarray
        Local contrast of the restored plane, float32; see `napari_restore.quality.residual_tests.detail`.
    valid : numpy.ndarray
        Which pixels are image.
    """

    residual: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.float32]
    valid: Mask


def standardise(noisy: Floats, restored: Floats, null: Null) -> Standardised:
    """Standardise the residual of a plane: standard deviation 1 and mean 0 if noise alone was taken away.

    Both images are stabilised (generalised Anscombe transform); from the restored one, the mean of the stabilised noisy
    values at its level is computed, so that the skewness of photon noise is no bias.

    Parameters
    ----------
    noisy, restored : numpy.ndarray
        Planes of one shape, in data units.
    null : Null
        Of the channel.

    Returns
    -------
    Standardised
        The plane.
    """
    missing = null.validity.missing(noisy)
    valid = np.isfinite(noisy) & np.isfinite(restored)
    if missing is not None:
        valid &= ~missing
    noisy, restored = (np.where(valid, plane, null.camera.offset) for plane in (noisy, restored))
    stable = null.camera.stabilise(restored)
    residual = null.camera.stabilise(noisy) - stable - np.interp(restored, *null.bias)
    residual /= np.interp(restored, *null.scale)
    residual = np.where(valid, np.clip(residual, -_WINSORISED, _WINSORISED), 0).astype(np.float32)
    return Standardised(np.asarray(residual, np.float32), detail(stable.astype(np.float32), valid), valid)


def sample_pairs(
    paired: Paired, channel: int, *, crops: int = _CROPS
) -> Iterator[tuple[dict[str, slice], Floats, Floats]]:
    """Yield region, noisy and restored pixels of crops that are evenly spread over a channel.

    Parameters
    ----------
    paired : Paired
        The images.
    channel : int
        Index along C.
    crops : int
        Number of crops at most.

    Yields
    ------
    (dict of str to slice, numpy.ndarray, numpy.ndarray)
        The region, and planes ``(h, w)``, in data units of the source.
    """
    sizes = paired.sizes
    rows, columns = min(sizes["Y"], _CROP), min(sizes["X"], _CROP)
    planes = sizes["T"] * sizes["Z"]
    count = min(crops, planes * -(-sizes["Y"] // rows) * -(-sizes["X"] // columns))
    letters = ["C" if axis == "S" else axis for axis in paired.source.canonical]
    for found in spread_regions(paired.source, "TZ", count, rows, columns, channel=channel):
        region = {axis: slice(0, 1) for axis in "TCZYX"} | dict(zip(letters, found, strict=True))
        region["C"] = slice(channel, channel + 1)
        yield region, paired.noisy(region)[0], paired.restored(region)[0]


def in_units_of(paired: Paired) -> Paired:
    """Find whether the result has the units of the source, and match it if it does not.

    Raises
    ------
    SourceError
        If the result does not show what the source shows.
    """
    pairs = [(_means(noisy), _means(restored)) for _, noisy, restored in sample_pairs(paired, 0, crops=6)]
    x, y = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    there = np.isfinite(x) & np.isfinite(y)
    x, y = x[there], y[there]
    if x.size < 3 or np.ptp(x) == 0:
        raise SourceError("the source is constant, or has no finite pixels; there is no noise to compare with.")
    if np.ptp(y) == 0:
        raise SourceError("the result is constant; there is nothing to assess.")
    slope = float(np.std(y) / np.std(x))
    agreement = float(np.corrcoef(x, y)[0, 1])
    spread = float(np.median([np.nanstd(noisy) for _, noisy, _ in sample_pairs(paired, 0, crops=2)]))
    if agreement < 0.5 and np.std(x) > 0.5 * spread:
        raise SourceError(
            f"the result does not show what the source shows (the correlation of means over 16 x 16 pixels is "
            f"{agreement:.2f}); give the result of this source, with the same orientation and order of axes."
        )
    shift = float(np.median(y) - np.median(x))
    same = agreement < 0.5 or (1 / _UNITS <= slope <= _UNITS and abs(shift) <= spread)
    if same:
        return paired
    slope = float(np.polyfit(x, y, 1)[0])
    offset = float(y.mean() - slope * x.mean())
    note = (
        f"The result has other units than the source: {slope:.4g} x value {offset:+.4g} matches it, and was divided "
        "out. A change of contrast of all structure cannot be seen then."
    )
    return dataclasses.replace(paired, slope=slope, offset=offset, notes=(*paired.notes, note))


def _means(plane: Floats, side: int = 16) -> Floats:
    rows, columns = (length // side for length in plane.shape)
    means: Floats = plane[: rows * side, : columns * side].reshape(rows, side, columns, side).mean((1, 3)).ravel()
    return means


def calibrate(paired: Paired, channel: int, camera: CameraNoise | None = None) -> Null:
    """Estimate the noise of a channel, and how the residual is distributed where noise alone was taken away.

    Parameters
    ----------
    paired : Paired
        The images.
    channel : int
        Index along C.
    camera : CameraNoise, optional
        Noise, if it is known.

    Returns
    -------
    Null
        The calibration.

    Raises
    ------
    SourceError
        If the noise cannot be estimated, or nothing was removed.
    """
    found = list(sample_pairs(paired, channel))
    validity, estimate = _source_noise(paired, channel)
    if camera is None and estimate is not None:
        camera = CameraNoise.from_estimate(estimate)
    if camera is None:
        raise SourceError(
            f"the noise of channel {channel} cannot be estimated: the source is constant, already denoised, or has too "
            "few pixels without clipping",
            WayOut(
                "give its noise=(gain, offset, read noise).", "give its --noise (gain, offset and read noise).",
                "choose the noisy layer as Source, and the restored one as Result.",
            ),
        )  # fmt: skip
    correlation, notes = _correlation([noisy - restored for _, noisy, restored in found], estimate)
    bias = _stabilising_bias(camera)
    rough = Null(camera, correlation, validity, bias, (np.array([0.0]), np.array([1.0])))
    planes = [(standardise(noisy, restored, rough), restored) for _, noisy, restored in found]
    removed = _wide_spread(np.concatenate([plane.residual[plane.valid] for plane, _ in planes]))
    if not _difference(found, camera) > _NOTHING:
        raise SourceError(
            f"source and result of channel {channel} differ by less than {_NOTHING:g} standard deviations of the "
            "noise: nothing was removed, so there is nothing to assess."
        )
    null = dataclasses.replace(rough, scale=_scale(planes), removed=removed)
    planes = [(standardise(noisy, restored, null), restored) for _, noisy, restored in found]
    notes += [*_notes(removed), *_jpeg_note(found)]
    return dataclasses.replace(
        null, factors=_factors([plane for plane, _ in planes], correlation),
        contrast_factor=_contrast_factor([plane for plane, _ in planes], correlation), notes=tuple(notes),
    )  # fmt: skip


def _source_noise(paired: Paired, channel: int) -> tuple[Validity, NoiseEstimate | None]:
    colour = "S" in paired.source.axes
    crops = sample_planes(paired.source, 0 if colour else channel, crops=16)
    if colour:
        crops = [crop[channel] for crop in crops]
    fill = fill_values(crops)
    planes, _ = without_fill(crops, fill, paired.source.missing_values)
    noise = estimate_noise(planes)
    low, high = valid_range(robust_range(planes, noise), noise)
    return Validity(low, high, fill, paired.source.missing_values), noise


def _correlation(residuals: Sequence[Floats], source: NoiseEstimate | None) -> tuple[tuple[float, float], list[str]]:
    """Choose the autocorrelation of the noise: that of the flattest residual, at most a little above the source's."""
    found = estimate_noise([fill_missing(plane, ~np.isfinite(plane), mirrored=False) for plane in residuals])
    if found is None and source is None:
        return (0.0, 0.0), ["The autocorrelation of the noise could not be estimated: it was taken as 0."]
    own = (found or source).correlation  # type: ignore[union-attr]
    limit = source.correlation if source is not None else own
    y, x = (float(max(min(a, b + _UNDERESTIMATED), 0.0)) for a, b in zip(own, limit, strict=True))
    return (y, x), []


def _stabilising_bias(camera: CameraNoise) -> tuple[Floats, Floats]:
    if camera.gain == 0:
        return np.array([0.0]), np.array([0.0])
    levels = camera.offset + camera.gain * np.concatenate([np.linspace(0, 12, 60) ** 2, [400.0, 1600.0, 10_000.0]])
    return levels, camera.expected(levels) - camera.stabilise(levels)


def _spread(values: npt.NDArray[Any]) -> float:
    return _NORMAL * float(np.median(np.abs(values))) if values.size else 0.0


def _wide_spread(values: npt.NDArray[Any]) -> float:
    """Return the spread, also of residuals of few photons: most are 0, and the median says nothing."""
    outer = float(np.quantile(np.abs(values), _OUTER[0])) / _OUTER[1] if values.size else 0.0
    return max(_spread(values), outer)


def _scale(planes: Sequence[tuple[Standardised, Floats]]) -> tuple[Floats, Floats]:
    """Measure the standard deviation of the residual at some levels of the restored image."""
    levels = np.concatenate([restored[plane.valid] for plane, restored in planes])
    residual = np.concatenate([plane.residual[plane.valid] for plane, _ in planes])
    order = np.argsort(levels, kind="stable")
    points = [
        (float(np.median(levels[part])), float(np.clip(_wide_spread(residual[part]), *_SCALE)))
        for part in np.array_split(order, max(min(_LEVELS, levels.size // _FEW_PIXELS), 1))
    ]
    at, spread = np.array(points).T
    at, first = np.unique(at, return_index=True)
    return at, spread[first]


def _factors(planes: Sequence[Standardised], correlation: tuple[float, float]) -> tuple[float, ...]:
    pooled: list[list[npt.NDArray[Any]]] = [[] for _ in range(filter_count())]
    for plane in planes:
        for number, (response, _) in enumerate(filtered(plane.residual, plane.valid, correlation)):
            pooled[number].append(response[plane.valid][::7])
    return tuple(float(np.clip(_spread(np.concatenate(parts)), 1.0, _FACTOR)) for parts in pooled)


def _contrast_factor(planes: Sequence[Standardised], correlation: tuple[float, float]) -> float:
    scores = [contrast_lost(plane.residual, plane.contrast, correlation, 0.0)[1].ravel() for plane in planes]
    tested = np.concatenate(scores)
    tested = tested[tested != 0]
    if tested.size < 20:
        return 1.0
    return float(np.clip(_NORMAL * np.median(np.abs(tested - np.median(tested))), 1.0, _FACTOR))


def _difference(found: Sequence[tuple[dict[str, slice], Floats, Floats]], camera: CameraNoise) -> float:
    """Return the spread of the difference of source and result, in standard deviations of the noise."""
    differences = [camera.stabilise(noisy) - camera.stabilise(restored) for _, noisy, restored in found]
    values = np.concatenate([plane[np.isfinite(plane)] for plane in differences])
    return _wide_spread(values)


def _notes(removed: float) -> list[str]:
    notes = []
    if removed < 0.7:
        notes.append(
            f"The residual has {removed:.0%} of the standard deviation of the estimated noise: noise is left in the "
            "result, or texture of the source was taken for noise. Probabilities are relative to what was removed."
        )
    if removed > _SCALE[1]:
        notes.append(
            f"The residual has {removed:.0%} of the standard deviation of the estimated noise: structure was removed "
            "almost everywhere, or the noise is larger than estimated."
        )
    return notes


def _jpeg_note(found: Sequence[tuple[dict[str, slice], Floats, Floats]]) -> list[str]:
    """Look for the borders of 8 x 8 blocks."""
    ratios = []
    for region, noisy, _ in found:
        borders = [range(8 - region[axis].start % 8, length, 8) for axis, length in zip("YX", noisy.shape, strict=True)]
        ratios.append(seam_ratio(noisy, *borders))
    finite = [ratio for ratio in ratios if np.isfinite(ratio)]
    if not finite or np.median(finite) <= _JPEG:
        return []
    return [
        "The source has the 8 x 8 blocks of JPEG compression: its noise is not that of a camera, and the probabilities "
        "are not reliable. Assess with the image as it was recorded."
    ]
