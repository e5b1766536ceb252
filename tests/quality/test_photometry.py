from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.quality.photometry import line_from_moments, region_sums

ALL = np.ones((128, 128), bool)


@pytest.mark.parametrize(("sigma", "rho"), [(0.0, 0.0), (0.7, 0.6)])
def test_the_error_of_a_sum_is_that_of_the_noise(sigma: float, rho: float) -> None:
    deviations = []
    for seed in range(12):
        noise = np.random.default_rng(seed).normal(size=(128, 128))
        noise = ndimage.gaussian_filter(noise, sigma, mode="wrap") if sigma else noise
        noise /= noise.std()
        sums = region_sums(100 + noise, np.full((128, 128), 100.0), np.ones((128, 128)), ALL, (rho, rho), 32)
        deviations.append((sums.after - sums.before) / np.sqrt(sums.variance))
    assert float(np.std(deviations)) == pytest.approx(1, abs=0.15)


def test_labels_are_summed_without_background_and_missing_pixels() -> None:
    labels = np.zeros((128, 128), np.uint8)
    labels[:10, :10], labels[50:60, :20] = 3, 7
    valid = ALL.copy()
    valid[:5] = False
    ones = np.ones((128, 128))
    sums = region_sums(ones, 2 * ones, ones, valid, (0.0, 0.0), 64, labels)
    assert sums.labels.tolist() == [3, 7]
    assert sums.pixels.tolist() == sums.before.tolist() == [50, 200] and sums.after.tolist() == [100, 400]


def test_a_line_of_constant_values_is_not_known() -> None:
    assert all(math.isnan(value) for value in line_from_moments(np.array([3.0, 6, 9, 12, 27, 18])))
    assert all(math.isnan(value) for value in line_from_moments(np.zeros(6)))
