from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.errors import SourceError
from napari_restore.quality.resolution import fourier_ring_correlation, frc_resolution


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def low_passed(plane: np.ndarray, highest: float) -> np.ndarray:
    frequency = np.hypot(np.fft.fftfreq(plane.shape[0])[:, None], np.fft.fftfreq(plane.shape[1])[None, :])
    return np.fft.ifft2(np.fft.fft2(plane) * (frequency < highest)).real


def test_correlation_is_one_for_equal_and_small_for_independent_images() -> None:
    frequency, correlation = fourier_ring_correlation(noise(96, 64), noise(96, 64) * 5 - 2)
    assert frequency[0] == 1 / 64 and frequency[-1] == 0.5
    assert correlation == pytest.approx(np.ones(32))
    independent = fourier_ring_correlation(noise(96, 64), noise(96, 64, seed=1))[1]
    assert abs(independent[4:]).max() < 0.5 and abs(independent[4:].mean()) < 0.1


@pytest.mark.parametrize("period", [3, 4, 8])
def test_resolution_is_the_period_up_to_which_images_agree(period: int) -> None:
    truth = noise(128, 160)
    agreeing = low_passed(truth, 1 / period) + truth[::-1, ::-1] - low_passed(truth[::-1, ::-1], 1 / period)
    assert frc_resolution(agreeing, truth) == pytest.approx(period, rel=0.1)


def test_resolution_has_its_limits() -> None:
    truth = ndimage.gaussian_filter(noise(64, 64), 1)
    assert frc_resolution(truth, truth) == 2
    assert frc_resolution(np.zeros((64, 64)), truth) == math.inf


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(SourceError, match="differ"):
        fourier_ring_correlation(noise(32, 32), noise(32, 64))
    with pytest.raises(SourceError, match="16 x 16"):
        frc_resolution(noise(2, 32, 32), noise(2, 32, 32))
