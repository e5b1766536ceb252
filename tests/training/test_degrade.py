from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Generator

from napari_restore.training.degrade import (
    _photons,
    blurred,
    camera_noise,
    denoising_pair,
    noise_left,
    super_resolution_pair,
)


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
    noise = camera_noise(clean, Generator().manual_seed(0), torch.full((400, 1, 1, 1), 0.05)) - clean
    assert float(noise.std((1, 2, 3)).median()) == pytest.approx(0.05, rel=0.1)
    assert abs(float(noise.mean())) < 2e-3


def test_noise_that_neighbours_leave_is_that_of_a_mean_or_of_one_plane() -> None:
    left = noise_left(Generator().manual_seed(0), 500, (24, 32))
    assert left.shape == (500, 1, 24, 32) and float(left.min()) >= 0.4 and float(left.max()) == 1
    single = (left == 1).flatten(1).all(1)
    assert float(single.float().mean()) == pytest.approx(0.6, abs=0.05)
    assert float(left[~single].std((1, 2, 3)).median()) > 0.02


def test_pairs_are_noisy_and_clean(clean: torch.Tensor) -> None:
    source, target = denoising_pair(clean, Generator().manual_seed(0))
    sigma = (source - target).std((1, 2, 3))
    assert source.shape == target.shape == clean.shape and torch.isfinite(source).all()
    assert 0.005 < float(sigma.median()) < 0.15 and float(sigma.max()) > 5 * float(sigma.min())


def test_a_low_resolution_pixel_is_the_mean_of_its_high_resolution_ones(clean: torch.Tensor) -> None:
    source, target = super_resolution_pair(clean, Generator().manual_seed(0), 2)
    assert source.shape[-2:] == (32, 32) and target.shape[-2:] == (64, 64)
    error = (source - torch.nn.functional.avg_pool2d(target, 2)).abs().mean((1, 2, 3))
    assert float((error < 1e-6).float().mean()) > 0.2  # those without noise
    assert float(error.median()) < 0.02


def test_electron_multiplication_doubles_the_skew_and_not_the_variance() -> None:
    generator = Generator().manual_seed(0)
    signal, gain = torch.full((2, 1, 512, 512), 0.5), torch.full((2, 1, 1, 1), 0.05)
    multiplied = torch.tensor([False, True]).reshape(2, 1, 1, 1)
    plain, excess = (_photons(signal, gain, multiplied, generator) - signal)[:, 0].double()
    for noise in (plain, excess):
        assert abs(float(noise.mean())) < 2e-3
        assert float(noise.var()) == pytest.approx(0.05 * 0.5, rel=0.02)
    # Skewness of a Poisson number is 1 / sqrt(n) = 0.32; of a gamma-distributed one of 2n photons 3 / 2 / sqrt(n).
    skew = [float((noise**3).mean() / noise.var() ** 1.5) for noise in (plain, excess)]
    assert skew[0] == pytest.approx(0.316, abs=0.03) and skew[1] == pytest.approx(0.474, abs=0.05)


def test_channels_have_noise_of_their_own(clean: torch.Tensor) -> None:
    rgb = clean[:100].repeat(1, 3, 1, 1)
    noise = camera_noise(rgb, Generator().manual_seed(0), torch.full((100, 1, 1, 1), 0.05)) - rgb
    together = (noise[:, 0] * noise[:, 1]).mean((1, 2)) / (noise[:, 0].std((1, 2)) * noise[:, 1].std((1, 2)))
    assert float(together.abs().median()) < 0.05
