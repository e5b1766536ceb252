from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.errors import SourceError
from napari_restore.quality.image_resolution import (
    crossing,
    decorrelation_resolution,
    halved_photons,
    one_image_frc,
    resolution_of,
)
from napari_restore.quality.resolution import fourier_ring_correlation

SIDE = 256


def blurred(sigma: float) -> np.ndarray:
    truth = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(SIDE, SIDE)), sigma, mode="wrap")
    return np.asarray(truth / truth.std())


def theory(sigma: float, noise: float) -> float:
    """Period at which S / (S + noise^2) is 1/7, with S the power of white structure behind a Gaussian."""
    fy, fx = np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :]
    mean = float(np.exp(-4 * math.pi**2 * sigma**2 * (fy**2 + fx**2)).mean())
    return 2 * math.pi * sigma / math.sqrt(-math.log(noise**2 / 6 * mean))


@pytest.mark.parametrize(("sigma", "noise"), [(2.0, 0.05), (2.0, 0.3), (3.0, 0.1)])
def test_two_frames_have_the_resolution_of_theory(sigma: float, noise: float) -> None:
    rng, truth = np.random.default_rng(1), blurred(sigma)
    first, second = (truth + rng.normal(0, noise, truth.shape) for _ in range(2))
    assert crossing(*fourier_ring_correlation(first, second)) == pytest.approx(theory(sigma, noise), rel=0.1)


def test_one_image_has_nearly_the_resolution_of_two() -> None:
    image = blurred(3.0) + np.random.default_rng(1).normal(0, 0.05, (SIDE, SIDE))
    assert resolution_of(image, "one-image FRC") == pytest.approx(theory(3.0, 0.05), rel=0.1)


def test_one_image_of_noise_has_no_resolution() -> None:
    assert math.isnan(resolution_of(np.random.default_rng(0).normal(size=(SIDE, SIDE)), "one-image FRC"))
    with pytest.raises(SourceError, match="32 x 32"):
        one_image_frc(np.zeros((20, 20)))


def test_decorrelation_follows_the_point_spread_function() -> None:
    rng = np.random.default_rng(1)
    found = [decorrelation_resolution(blurred(sigma) + rng.normal(0, 0.05, (SIDE, SIDE))) for sigma in (1.5, 3.0)]
    assert found[1] / found[0] == pytest.approx(2, rel=0.15)
    assert math.isnan(decorrelation_resolution(np.ones((64, 64))))


def test_halves_of_photons_are_independent() -> None:
    rng = np.random.default_rng(0)
    first, second = halved_photons(rng.poisson(20.0, (200, 200)), rng)
    assert first.mean() == pytest.approx(10, rel=0.02)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
