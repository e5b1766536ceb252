"""Calibrate the uncertainty of a result: restore crops to which noise was added, whose error is known.

No clean image is needed. A crop of the source is restored, and the result stands for the truth: it has the structure of
the image, and no noise. Noise of the measured kind is added, and the noisy crop is restored like the source. Then the
error of each pixel is known, beside the spread of the ensemble there (parametric bootstrap, Efron and Tibshirani, "An
Introduction to the Bootstrap", 1993, chapter 6). An error of 10 % in the measured noise changes the uncertainty by
about 10 %; the residual of the source itself, whose variance is nearly all noise, would change it by far more.

But a restored crop lacks the structure that the network loses, and would be restored too well. So what is lost as it is
made noisy and restored once more is added to it first (twicing, Tukey, "Exploratory Data Analysis", 1977).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.compute.uncertainty import Calibration
from napari_restore.engine.hardware.devices import choose_devices
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.planner import make_plan
from napari_restore.engine.planning.reading import with_retries
from napari_restore.engine.planning.sampling import estimate_image_noise, sample_planes
from napari_restore.engine.planning.settings.forms import broadcast
from napari_restore.engine.planning.settings.neighbours import NONE
from napari_restore.engine.store.resume import check_output, continues, stored_recipe
from napari_restore.errors import RecipeError, SourceError
from napari_restore.images.opening import open_image
from napari_restore.intensity.noise import NoiseEstimate
from napari_restore.intensity.scaling import fill_missing, to_dtype
from napari_restore.quality.structure import noise_spectrum
from napari_restore.ways_out import WayOut

__all__ = ["calibrated", "fit_calibration", "lost_structure", "with_calibration"]

Floats = NDArray[np.float64]

_CROPS = 6
"""Crops of each channel."""
_SIDE = 128
"""Height and width of a crop in pixels, at most."""
_EDGE = 8
"""Pixels at each edge of a crop whose error is not used, as their surroundings are missing."""
_KNOWN = 0.1
"""Share of the pixels of a crop that must not be missing for it to be used."""
_WITHIN = {0.6827: 1.0, 0.9545: 2.0}
"""Shares of a normal distribution, and the standard deviations within which they lie."""
_SHARES = (0.0, *np.geomspace(0.02, 1.0, 24).tolist())
"""Shares of the noise's standard deviation that are tried as the least uncertainty, relative to the spread's factor."""


@dataclass(frozen=True)
class _Errors:
    """Errors of restored pixels, the spread of the ensemble there, and the standard deviation of the noise."""

    error: Floats
    spread: Floats
    noise: Floats


def calibrated(plan: Plan) -> Plan:
    """Return a plan with the calibration of its uncertainty chosen.

    Parameters
    ----------
    plan : Plan
        The run, with its value range chosen.

    Returns
    -------
    Plan
        The same plan if it has a calibration, or needs none.

    Raises
    ------
    SourceError
        If the noise cannot be estimated, or the crops are too small or have hardly any pixels that are not missing.
    """
    recipe = plan.recipe
    if not recipe.uncertainty or recipe.calibration is not None:
        return plan
    source = _here(plan).with_image(with_retries(plan.image, "raise", ()))
    skip = recipe.on_error == "fill"
    noise = estimate_image_noise(source.image, skip_damaged=skip)
    channels = [_channel(source, channel, noise[channel], skip=skip) for channel in range(len(noise))]
    return plan.with_settings(calibration=tuple(channels))


def with_calibration(plan: Plan, output: str | Path, *, overwrite: bool) -> Plan:
    """Return a plan with the calibration of its uncertainty: that of the run that is resumed, or a new one.

    Parameters
    ----------
    plan : Plan
        The run.
    output : str or Path
        The output, a path or URL.
    overwrite : bool
        Whether an existing Zarr may be replaced.

    Returns
    -------
    Plan
        The same plan if it has a calibration, or needs none.

    Raises
    ------
    RestoreError
        If the plan does not fit the output, or the uncertainty cannot be calibrated.
    """
    if not plan.recipe.uncertainty or plan.recipe.calibration is not None:
        return plan
    stored = stored_recipe(output)
    if stored is not None and stored.calibration is not None:
        before = plan.with_settings(calibration=stored.calibration)
        if continues(before, output):
            return before
    if stored is None:
        check_output(plan, output, overwrite=overwrite)  # before the time that calibrating takes
    return calibrated(plan)


def _here(plan: Plan) -> Plan:
    """Return the plan with a device of this machine; that of a run on a cluster may be none."""
    try:
        choose_devices(plan.recipe.device)
    except RecipeError:
        return plan.with_settings(device="cpu", **dict.fromkeys(("batch", "lanes", "threads", "backend", "precision")))
    return plan


def _channel(plan: Plan, channel: int, noise: NoiseEstimate | None, *, skip: bool) -> Calibration:
    if noise is None:
        raise _refusal(plan, "its noise cannot be estimated")
    found = list(_errors(plan, channel, noise, skip=skip))
    if not found:
        raise _refusal(plan, "its crops are too small, or nearly all of their pixels are missing")
    error, spread, sigma = (
        np.concatenate([getattr(each, name) for each in found]) for name in ("error", "spread", "noise")
    )
    factor, share = fit_calibration(error, spread, sigma)
    dark = noise.levels[0]
    return (factor, share**2 * noise.gain, dark, share * float(noise.sigma(dark)))


def _refusal(plan: Plan, why: str) -> SourceError:
    return SourceError(
        f"the uncertainty of {plan.image.name} cannot be calibrated: {why}",
        WayOut(
            "give calibration=(factor, gain, offset, read noise) of a similar image, or leave out uncertainty=.",
            "give --calibration FACTOR GAIN OFFSET READ of a similar image, or leave out --uncertainty.",
            "untick Uncertainty.",
        ),
    )


def _errors(plan: Plan, channel: int, noise: NoiseEstimate, *, skip: bool) -> Iterator[_Errors]:
    """Yield the errors of crops that are restored, made noisy and restored again."""
    left = broadcast(plan.recipe.neighbours.left or (1.0,), channel + 1)[channel] if plan.recipe.neighbours else 1.0
    valid = broadcast(plan.validity, channel + 1)[channel]
    limits = broadcast(plan.scales, channel + 1)[channel].limits
    for number, crop in enumerate(sample_planes(plan.image, channel, crops=_CROPS, skip_damaged=skip)[:_CROPS]):
        pixels = _middle(crop)
        missing = valid.missing(pixels, limits)
        known = np.ones(pixels.shape, bool) if missing is None else ~missing
        if min(pixels.shape[-2:]) <= 2 * _EDGE or known.mean() < _KNOWN:
            continue
        pixels = fill_missing(pixels, missing)
        smooth, _ = _restored(plan, pixels, channel, once=True)
        rng = np.random.default_rng([number, channel])
        truth = smooth + lost_structure(plan, smooth, left * _drawn(smooth, noise, rng), channel)
        noisy = to_dtype(truth + left * _drawn(truth, noise, rng), plan.image.dtype)
        found, spread = _restored(plan, noisy, channel)
        assert spread is not None
        inner = (..., slice(_EDGE, -_EDGE), slice(_EDGE, -_EDGE))
        values = found[inner].ravel()
        there = (np.isfinite(spread[inner]) & known[inner]).ravel()
        yield _Errors((found - truth)[inner].ravel()[there], spread[inner].ravel()[there], noise.sigma(values)[there])


def lost_structure(plan: Plan, truth: Floats, noise: Floats, channel: int) -> Floats:
    """Find the structure that is lost as an image with noise is restored.

    Parameters
    ----------
    plan : Plan
        The run.
    truth, noise : numpy.ndarray
        An image ``(y, x)`` or ``(s, y, x)`` of the plan's source, and noise, in data units. The noise is added and
        subtracted, so that most of what is left of it cancels in the mean.
    channel : int
        Channel that the image is of.

    Returns
    -------
    numpy.ndarray
        The image minus the mean of both results, in data units.
    """
    noisy = (to_dtype(truth + sign * noise, plan.image.dtype) for sign in (1, -1))
    plus, minus = (_restored(plan, pixels, channel, once=True)[0] for pixels in noisy)
    return truth - (plus + minus) / 2


def _middle(crop: NDArray[Any]) -> NDArray[Any]:
    starts = [max((length - _SIDE) // 2, 0) for length in crop.shape[-2:]]
    return crop[..., starts[0] : starts[0] + _SIDE, starts[1] : starts[1] + _SIDE]


def _drawn(level: Floats, noise: NoiseEstimate, rng: np.random.Generator) -> Floats:
    """Draw noise for an image, with the measured variance at each level and the measured autocorrelation."""
    white = rng.normal(size=level.shape)
    shape = level.shape[-2:]
    filtered = np.fft.irfft2(np.fft.rfft2(white) * np.sqrt(noise_spectrum(shape, noise.correlation)), shape)
    return np.asarray(noise.sigma(level) * filtered)


def _restored(plan: Plan, pixels: NDArray[Any], channel: int, *, once: bool = False) -> tuple[Floats, Floats | None]:
    """Restore a plane ``(y, x)`` or ``(s, y, x)`` as the plan would; return it and the spread of the ensemble."""
    colour = pixels.ndim == 3
    image = open_image(np.moveaxis(pixels, 0, -1) if colour else pixels, axes="YXS" if colour else "YX")
    recipe = plan.recipe
    own = {
        name: values if values is None or len(values) < 2 else (values[channel],)
        for name, values in (
            ("value_range", recipe.value_range), ("noise", recipe.noise), ("valid_range", recipe.valid_range),
            ("fill_values", recipe.fill_values), ("missing_values", recipe.missing_values),
        )
    }  # fmt: skip
    given: dict[str, Any] = {
        **own, "axes": None, "dtype": "float64", "neighbours": NONE, "chunks": None, "shards": None, "tile": None,
        "halo": None, "blend": None, "series": 0, "level": 0, "denoise": "none", "uncertainty": not once,
        "ensemble": 1 if once else 8, "memory_budget": None,
    }  # fmt: skip
    made = make_plan(image, plan.card, recipe.model_copy(update=given))
    made = replace(made, spares=plan.spares)
    kept: list[NDArray[np.float32]] = []
    whole = tuple(slice(0, length) for length in made.shape)
    result = restore_region(made, whole, predictor_of(made), uncertain=kept.append)
    both = [np.asarray(each, np.float64) for each in (result, *kept)]
    both = [np.moveaxis(each, -1, 0) if colour else each for each in both]
    return both[0], both[1] if kept else None


def fit_calibration(error: Floats, spread: Floats, noise: Floats) -> tuple[float, float]:
    """Fit a factor on the spread and a share of the noise, so that normal shares of the errors lie within.

    Parameters
    ----------
    error, spread, noise : numpy.ndarray
        Error, spread of the ensemble and standard deviation of the noise of some pixels, of the same shape.

    Returns
    -------
    factor, share : float
        Such that 68.3 % of the errors are less than ``sqrt((factor * spread)^2 + (share * noise)^2)``, and 95.4 % less
        than twice that, as near as both can be reached.
    """
    best = (np.inf, 1.0, 0.0)
    for share in _SHARES:
        shape = np.sqrt(np.square(spread) + np.square(share * noise))
        ratio = np.abs(error) / np.maximum(shape, np.finfo(np.float64).tiny)
        factors = [float(np.quantile(ratio, part)) / within for part, within in _WITHIN.items()]
        if not all(np.isfinite(factors)) or min(factors) <= 0:
            continue
        miss = abs(float(np.log(factors[0] / factors[1])))
        if miss < best[0]:
            factor = float(np.sqrt(factors[0] * factors[1]))
            best = (miss, factor, factor * share)
    return best[1], best[2]
