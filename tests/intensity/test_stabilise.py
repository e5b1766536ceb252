from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_restore.errors import RecipeError
from napari_restore.intensity.noise import estimate_noise
from napari_restore.intensity.stabilise import CameraNoise, NoiseScale

GAINS = [0.01, 0.1, 1.0, 10.0, 100.0]
PEAKS = [1.0, 20.0, 400.0, 8000.0, 65535.0]


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("peak", PEAKS)
def test_an_image_stabilised_and_inverted_keeps_its_mean(gain: float, peak: float) -> None:
    """Stabilised means, as a perfect denoiser gives them, come back as the means of the values."""
    levels = 100 + peak * np.linspace(0, 1, 101)
    for read_noise in (0.0, 0.3, 3.0):
        camera = CameraNoise(gain, 100.0, read_noise)
        back = camera.invert(camera.expected(levels))
        assert np.abs(back - levels).max() <= 1e-3 * peak
        assert back.mean() - 100 == pytest.approx(levels.mean() - 100, rel=1e-3)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("peak", PEAKS)
@pytest.mark.parametrize("read_noise", [0.0, 3.0])
def test_the_mean_of_the_stabilised_values_comes_back_as_the_mean(gain: float, peak: float, read_noise: float) -> None:
    """That mean is summed here over counts by SciPy's Poisson distribution, and over read noise on a fine grid."""
    camera = CameraNoise(gain, 100.0, read_noise)
    photons = peak / gain
    first, last = stats.poisson.ppf([1e-13, 1 - 1e-13], photons)
    counts = np.arange(first, last + 1)
    chance = stats.poisson.pmf(counts, photons)
    read = np.linspace(-8, 8, 401) * read_noise
    share = stats.norm.pdf(np.linspace(-8, 8, 401))
    of_counts = [camera.stabilise(100 + gain * counts + value) @ chance for value in read]
    mean = np.dot(of_counts, share) / share.sum() / chance.sum()
    assert float(camera.invert(mean)) - 100 == pytest.approx(peak, rel=1e-3, abs=1e-3 * gain)


@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("peak", PEAKS)
def test_drawn_photons_have_the_mean_that_is_expected(gain: float, peak: float) -> None:
    rng, camera = np.random.default_rng(0), CameraNoise(gain, 100.0, 1.0)
    values = 100 + gain * rng.poisson(peak / gain, 200_000) + rng.normal(0, 1, 200_000)
    stable = camera.stabilise(values)
    back = float(camera.invert(stable.mean()))
    # As far off as the mean of so many values is itself, by chance.
    chance = 5 * np.sqrt(gain * peak + 1) / np.sqrt(200_000)
    assert abs(back - (100 + peak)) < chance + 2e-4 * peak


@pytest.mark.parametrize(("gain", "read_noise"), [(0.0, 4.0), (0.5, 1.0), (3.0, 0.0), (20.0, 5.0)])
def test_noise_becomes_one_everywhere(gain: float, read_noise: float) -> None:
    rng, camera = np.random.default_rng(0), CameraNoise(gain, 50.0, read_noise)
    for photons in (3.0, 10.0, 100.0, 3000.0):
        values = 50 + gain * rng.poisson(photons, 100_000) + rng.normal(0, 1, 100_000) * read_noise
        assert camera.stabilise(values).std() == pytest.approx(1, abs=0.07)


def test_value_by_value_it_is_undone() -> None:
    camera, values = CameraNoise(2.0, 100.0, 3.0), np.linspace(60, 5000, 1000)
    np.testing.assert_allclose(camera.unstabilise(camera.stabilise(values)), values)
    assert np.all(np.diff(camera.stabilise(values)) > 0)
    # The slope does not jump at the offset, where the straight line begins.
    slope = (camera.stabilise(100 + 1e-4) - camera.stabilise(100), camera.stabilise(100) - camera.stabilise(100 - 1e-4))
    assert slope[0] == pytest.approx(slope[1], rel=1e-4)


def test_the_inverse_is_the_closed_form_of_makitalo_and_foi() -> None:
    """In photons, without read noise: d^2/4 + sqrt(3/2)/(4d) - 11/(8d^2) + 5 sqrt(3/2)/(8d^3) - 1/8."""
    camera, photons = CameraNoise(1.0, 0.0, 0.0), np.array([2.0, 10.0, 50.0])
    stable = camera.expected(photons)
    d = stable + 2 * np.sqrt(3 / 8)  # theirs begins at 2 sqrt(3/8), ours at 0
    root = np.sqrt(1.5)
    closed = d**2 / 4 + root / (4 * d) - 11 / (8 * d**2) + 5 * root / (8 * d**3) - 1 / 8
    np.testing.assert_allclose(camera.invert(stable), closed, rtol=0.01)


def test_an_estimate_makes_a_camera() -> None:
    rng = np.random.default_rng(0)
    signal = np.tile(np.linspace(0, 500, 512), (512, 1))
    found = estimate_noise(100 + 4 * rng.poisson(signal / 4) + rng.normal(0, 6, signal.shape))
    assert found is not None
    camera = CameraNoise.from_estimate(found)
    assert camera is not None
    assert camera.gain == pytest.approx(4, rel=0.1)
    assert camera.read_noise**2 == pytest.approx(36 + 4 * (camera.offset - 100), rel=0.15)
    flat = estimate_noise(np.full((64, 64), 7))
    assert flat is not None and CameraNoise.from_estimate(flat) is None


def test_a_scale_gives_the_noise_the_size_asked_for() -> None:
    rng, scale = np.random.default_rng(0), NoiseScale(CameraNoise(2.0, 100.0, 3.0), low=100.0, sigma=0.1)
    values = 100 + 2 * rng.poisson(80.0, 100_000) + rng.normal(0, 3, 100_000)
    normal = scale.normalise(values)
    assert normal.dtype == np.float32 and normal.std() == pytest.approx(0.1, rel=0.02)
    assert float(scale.normalise(np.array(100.0))) == 0
    assert float(scale.restore(np.array(normal.mean()))) == pytest.approx(260, rel=1e-3)


@pytest.mark.parametrize("numbers", [(-1.0, 0.0, 1.0), (1.0, 0.0, -1.0), (0.0, 5.0, 0.0), (1.0, np.nan, 1.0)])
def test_no_camera(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(RecipeError, match="is not valid: gain"):
        CameraNoise(*numbers)
