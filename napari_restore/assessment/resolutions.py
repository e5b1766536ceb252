"""Estimate the resolution of source and result on a sample, and the power beyond the optics' cut-off."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from napari_restore.assessment.calibration import Null, sample_pairs
from napari_restore.assessment.pairing import Floats, Paired
from napari_restore.errors import SourceError
from napari_restore.images.units import unit_name
from napari_restore.quality.image_resolution import crossing, halved_photons, resolution_of
from napari_restore.quality.optics import cut_off, power_beyond, psf_cut_off
from napari_restore.quality.resolution import fourier_ring_correlation

__all__ = ["measure_beyond", "measure_resolution"]

_CROPS = 8
_INDEPENDENT = 0.1
"""Autocorrelation up to which noise counts as independent between pixels."""
_MICROMETERS = {
    "angstrom": 1e-4,
    "picometer": 1e-6,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "meter": 1e6,
}


def measure_resolution(paired: Paired, channel: int, null: Null) -> dict[str, Any]:
    """Estimate the resolution before and after, in pixels of the source.

    Parameters
    ----------
    paired : Paired
        The images.
    channel : int
        Index along C.
    null : Null
        Noise of the channel.

    Returns
    -------
    dict
        For each method: "before" and "after", the median over the crops, in pixels of the source, or None; and
        "condition", what the estimate needs, or why there is none.
    """
    crops = [
        (region, noisy, paired.fine(region)[0])
        for region, noisy, _ in sample_pairs(paired, channel, crops=_CROPS)
        if np.isfinite(noisy).all()
    ]
    crops = [crop for crop in crops if np.isfinite(crop[2]).all()]
    independent = max(null.correlation) <= _INDEPENDENT
    found: dict[str, Any] = {
        "frames FRC": _frames(paired, crops),
        "photon halves FRC": _halves(crops, null, independent),
    }
    correlated = f"the noise is correlated between neighbours ({max(null.correlation):.2f}), and would count as detail"
    for method, condition in (
        (
            "one-image FRC",
            "noise independent between pixels; no finer than 4 pixels; of the result an upper limit of detail",
        ),
        ("decorrelation", "noise independent between pixels; of the result an upper limit: what was invented counts"),
    ):
        before = _median([resolution_of(noisy, method) for _, noisy, _ in crops]) if independent else None
        after = _median([resolution_of(fine, method) / paired.scale for _, _, fine in crops])
        told = condition if independent else f"before: {correlated}; after: an upper limit of detail"
        found[method] = {"before": before, "after": after, "condition": told}
    return found


def _frames(paired: Paired, crops: list[tuple[dict[str, slice], Floats, Floats]]) -> dict[str, Any]:
    frames = paired.sizes["T"]
    if frames < 2:
        return _none("needs a time series")
    before, after = [], []
    for region, noisy, fine in crops:
        t = region["T"].start
        other = t + 1 if t + 1 < frames else t - 1
        there = region | {"T": slice(other, other + 1)}
        before.append(_frc(noisy, paired.noisy(there)[0]))
        after.append(_frc(fine, paired.fine(there)[0]) / paired.scale)
    condition = "frames that show the same; after: frames that were restored without each other (no neighbours)"
    return {"before": _median(before), "after": _median(after), "condition": condition}


def _halves(crops: list[tuple[dict[str, slice], Floats, Floats]], null: Null, independent: bool) -> dict[str, Any]:
    camera = null.camera
    if camera.gain <= 0 or not independent:
        return _none("needs photon noise that is independent between pixels, which the source does not have")
    rng = np.random.default_rng(0)
    before = []
    for _, noisy, _ in crops:
        photons = (noisy - camera.offset) / camera.gain
        if camera.read_noise**2 > 0.25 * camera.gain**2 * max(float(np.median(photons)), 0):
            return _none("needs photon noise that is larger than twice the read noise")
        before.append(_frc(*halved_photons(photons, rng)))
    condition = "each half has half of the photons; after: would need both halves restored on their own"
    return {"before": _median(before), "after": None, "condition": condition}


def _none(condition: str) -> dict[str, Any]:
    return {"before": None, "after": None, "condition": condition}


def _frc(first: Floats, second: Floats) -> float:
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        return math.nan
    return crossing(*fourier_ring_correlation(first, second))


def _median(values: list[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value)]
    return float(np.median(finite)) if finite else None


def measure_beyond(
    paired: Paired, wavelength: float | None, numerical_aperture: float | None, psf: Any
) -> dict[str, Any] | None:
    """Measure the share of the power of source and result beyond the cut-off of the optics.

    Parameters
    ----------
    paired : Paired
        The images.
    wavelength : float or None
        In micrometers.
    numerical_aperture : float or None
        Of the objective.
    psf : numpy.ndarray, float or None
        Point spread function in pixels of the result.

    Returns
    -------
    dict or None
        None if the optics are not known.

    Raises
    ------
    SourceError
        If only one of the two is given, or the pixel size is not known.
    """
    if wavelength is None and numerical_aperture is None:
        if psf is None:
            return None
        frequency, told = psf_cut_off(psf), "point spread function"
    elif wavelength is None or numerical_aperture is None:
        raise SourceError(
            "wavelength and numerical aperture are needed together, for the cut-off; give both or neither."
        )
    else:
        unit = unit_name(paired.source.units.get("X")) or ""
        if unit not in _MICROMETERS or "X" not in paired.source.pixel_size:
            raise SourceError(
                "the cut-off needs the pixel size of the source, which has none with a unit of length; give the point "
                "spread function in pixels instead of wavelength and numerical aperture."
            )
        pixel = abs(paired.source.pixel_size["X"]) * _MICROMETERS[unit] / paired.scale
        frequency, told = cut_off(wavelength, numerical_aperture) * pixel, "wavelength and numerical aperture"
    content: dict[str, Any] = {"cut_off": frequency, "from": told, "before": None, "after": None}
    if frequency >= 0.5:
        return content | {"note": "the pixels of the result are too large for anything beyond the cut-off"}
    crops = [(noisy, paired.fine(region)[0]) for region, noisy, _ in sample_pairs(paired, 0, crops=_CROPS)]
    content["after"] = _median([power_beyond(plane, frequency) for _, plane in crops if np.isfinite(plane).all()])
    if frequency * paired.scale < 0.5:
        content["before"] = _median(
            [power_beyond(plane, frequency * paired.scale) for plane, _ in crops if np.isfinite(plane).all()]
        )
    if content["after"] is None:
        content["note"] = "all sampled crops of the result have missing pixels"
    return content
