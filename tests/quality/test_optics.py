from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.errors import SourceError
from napari_restore.quality.optics import cut_off, power_beyond, psf_cut_off, resolution_scaled


def moments(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = x.ravel(), y.ravel()
    return np.array([x.size, x.sum(), y.sum(), x @ x, y @ y, x @ y])


def test_the_error_of_a_perfect_result_is_the_noise() -> None:
    rng = np.random.default_rng(0)
    truth = ndimage.gaussian_filter(rng.normal(size=(128, 128)), 2) * 100
    error, coefficient = resolution_scaled(moments(truth + rng.normal(0, 3, truth.shape), 0.1 * truth + 7))
    assert error == pytest.approx(3, rel=0.03) and 0.9 < coefficient < 1
    assert all(math.isnan(value) for value in resolution_scaled(moments(truth, np.zeros_like(truth))))


def test_the_cut_off_of_a_plane_is_that_of_its_gaussian() -> None:
    y, x = np.mgrid[-15:16, -15:16]
    plane = np.exp(-(y**2 + x**2) / (2 * 2.0**2))
    assert psf_cut_off(plane / plane.sum()) == pytest.approx(psf_cut_off(2.0), rel=0.03)
    assert psf_cut_off(0.0) == 0.5
    with pytest.raises(SourceError, match="positive"):
        cut_off(0.5, 0.0)


def test_no_power_is_beyond_the_cut_off_of_what_made_the_image() -> None:
    white = np.random.default_rng(0).normal(size=(128, 128))
    assert power_beyond(ndimage.gaussian_filter(white, 2.0), psf_cut_off(2.0)) < 1e-4
    assert power_beyond(white, psf_cut_off(2.0)) > 0.5
