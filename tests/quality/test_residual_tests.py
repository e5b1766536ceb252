from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.quality.residual_tests import (
    contrast_lost,
    detail,
    log10_p_of_agreement,
    log10_p_of_normal,
    neighbour_agreement,
)
from napari_restore.quality.structure import filtered

ALL = np.ones((256, 256), bool)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(256, 256)).astype(np.float32)


@pytest.mark.parametrize("lost", [0.2, -0.2])
def test_the_share_of_contrast_that_is_lost_is_found(lost: float) -> None:
    contrast = detail(5 * ndimage.gaussian_filter(noise(0), 1.0) / 0.28, ALL)
    share, score = contrast_lost(noise(1) + np.float32(lost) * contrast, contrast, (0.0, 0.0), 0.05)
    assert np.nanmean(share) == pytest.approx(lost, abs=0.02)
    assert (np.sign(score) == np.sign(lost)).mean() > 0.95


def test_noise_alone_has_lost_no_contrast() -> None:
    contrast = detail(5 * ndimage.gaussian_filter(noise(0), 1.0) / 0.28, ALL)
    _, score = contrast_lost(noise(1), contrast, (0.0, 0.0), 0.0)
    assert float(score.std()) == pytest.approx(1, abs=0.15)
    assert (log10_p_of_normal(score) < -3).mean() < 0.01


def test_too_little_contrast_is_not_tested() -> None:
    share, score = contrast_lost(noise(1), 0.1 * noise(0), (0.0, 0.0), 0.0)
    assert np.isnan(share).all() and not score.any()


def test_planes_of_noise_do_not_agree_and_structure_does() -> None:
    planes = [noise(seed) for seed in range(3)]
    texture = 0.8 * ndimage.gaussian_filter(noise(9), 1.0) / 0.28
    for added, low, high in ((0.0, 0.0, 0.02), (texture, 0.5, 1.0)):
        one, two, three = (next(iter(filtered(plane + added, ALL, (0.0, 0.0))))[0] for plane in planes)
        logs = log10_p_of_agreement(neighbour_agreement(one, two + three), 256, (0.0, 0.0))
        assert low <= (logs < -2.5).mean() <= high
