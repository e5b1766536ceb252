from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_restore.training.degrade import blurred, camera_noise, denoising_pair, super_resolution_pair


@pytest.fixture
def clean() -> torch.Tensor:
    y, x = np.mgrid[:64, :64] / 64
    plane = 0.5 + 0.25 * np.sin(9 * x) * np.cos(7 * y)
    return torch.from_numpy(np.tile(plane, (400, 1, 1, 1)).astype(np.float32))


def test_blur_is_a_gaussian_for_each_image(clean: torch.Tensor) -> None:
    sigmas = torch.tensor([0.8, 2.0]).reshape(2, 1, 1, 1)
    result = blurred(clean[:2], sigmas)
    for image, sigma in zip(result, sigmas.flatten(), strict=True):
        expected = ndimage.gaussian_filter(clean[0, 0].numpy(), float(sigma), mode="mirror", truncate=6)
        np.testing.assert_allclose(image[0].numpy(), expected, atol=3e-3)


def test_noise_has_the_size_asked_for_and_no_bias(clean: torch.Tensor) -> None:
    noise = camera_noise(clean, np.random.default_rng(0), torch.full((400, 1, 1, 1), 0.05)) - clean
    assert float(noise.std((1, 2, 3)).median()) == pytest.approx(0.05, rel=0.1)
    assert abs(float(noise.mean())) < 2e-3


def test_pairs_are_noisy_and_clean(clean: torch.Tensor) -> None:
    source, target = denoising_pair(clean, np.random.default_rng(0))
    sigma = (source - target).std((1, 2, 3))
    assert source.shape == target.shape == clean.shape and torch.isfinite(source).all()
    assert 0.005 < float(sigma.median()) < 0.15 and float(sigma.max()) > 5 * float(sigma.min())


def test_a_low_resolution_pixel_is_the_mean_of_its_high_resolution_ones(clean: torch.Tensor) -> None:
    source, target = super_resolution_pair(clean, np.random.default_rng(0), 2)
    assert source.shape[-2:] == (32, 32) and target.shape[-2:] == (64, 64)
    error = (source - torch.nn.functional.avg_pool2d(target, 2)).abs().mean((1, 2, 3))
    assert float((error < 1e-6).float().mean()) > 0.2  # those without noise
    assert float(error.median()) < 0.02
