"""Local means whose bits do not depend on where an array begins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.intensity.local_means import gaussian, noise_gain, separable, window


@pytest.mark.parametrize("kernel", [gaussian(0.8), gaussian(4.0), window(9), np.full(7, 1 / 7)])
def test_the_same_bits_anywhere(kernel: np.ndarray) -> None:
    values = np.random.default_rng(0).lognormal(size=(203, 178)).astype(np.float32)
    reach = len(kernel) // 2
    part = separable(values[31:140, 17:130], kernel)
    np.testing.assert_array_equal(
        part[reach:-reach, reach:-reach],
        separable(values, kernel)[31 + reach : 140 - reach, 17 + reach : 130 - reach],
    )


@pytest.mark.parametrize("kernel", [gaussian(1.5), window(9)])
def test_kernels_have_sum_one_and_are_symmetric(kernel: np.ndarray) -> None:
    assert kernel.sum() == pytest.approx(1)
    np.testing.assert_allclose(kernel, kernel[::-1])


@pytest.mark.parametrize("blur", [0.0, 0.6, 1.0])
def test_noise_gain_is_what_noise_does(blur: float) -> None:
    noise = np.random.default_rng(0).normal(size=(1500, 1500))
    noise = ndimage.gaussian_filter(noise, blur) if blur else noise
    noise = (noise / noise.std()).astype(np.float32)
    rho = float(np.mean(noise[1:] * noise[:-1]))
    assert separable(noise, gaussian(1.5)).var() == pytest.approx(noise_gain(gaussian(1.5), (rho, rho)), rel=0.08)
