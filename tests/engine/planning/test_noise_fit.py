from __future__ import annotations

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.planning.noise_fit import noise_fit
from napari_restore.intensity.noise import NoiseEstimate, estimate_noise

RANGE = [(0.0, 255.0)]


def noise(sigma: float, *, correlation: float = 0.0, gain: float = 0.0) -> NoiseEstimate:
    level = 100.0
    return NoiseEstimate(gain, sigma**2 - gain * level, (20.0, 250.0), level, (correlation, 0.0))


@pytest.mark.parametrize(
    ("model", "sigma", "word"),
    [
        ("restormer-gray-denoise-25", 25, ""),
        ("restormer-gray-denoise-25", 18, ""),
        ("restormer-gray-denoise-25", 12, "expects more noise"),
        ("restormer-gray-denoise-25", 50, "expects less noise"),
        ("restormer-gray-denoise-blind", 3, ""),
        ("restormer-gray-denoise-blind", 100, "expects less noise"),
        ("restormer-denoise-light", 1, ""),
        ("swinir-classical-df2k-x2", 1, ""),
        ("swinir-classical-df2k-x2", 10, "denoise in the same run"),
        ("swinir-x2-light", 2, ""),
        ("swinir-x2-light", 5, "denoise in the same run"),
    ],
)
def test_levels(model: str, sigma: float, word: str) -> None:
    fit = noise_fit(api.model_card(model), [noise(sigma)], RANGE)
    assert (word in " ".join(fit.warnings)) if word else fit.warnings == ()
    assert f"σ {sigma}" in fit.text and "the model expects" in fit.text


def test_a_better_model_of_the_same_kind_is_named() -> None:
    fit = noise_fit(api.model_card("swinir-gray-denoise-50"), [noise(14)], RANGE, api.models())
    assert "swinir-gray-denoise-15 fits better" in fit.warnings[0]


def test_correlated_noise_fits_models_that_know_it() -> None:
    found = [noise(25, correlation=0.4)]
    assert "correlated" in noise_fit(api.model_card("restormer-gray-denoise-25"), found, RANGE).warnings[0]
    assert not noise_fit(api.model_card("restormer-denoise-light"), found, RANGE).warnings


def test_noise_that_grows_with_the_signal_does_not_fit_one_level() -> None:
    found = [noise(25, gain=6.0)]
    assert any("grows" in w for w in noise_fit(api.model_card("restormer-gray-denoise-25"), found, RANGE).warnings)
    assert not noise_fit(api.model_card("restormer-gray-denoise-blind"), found, RANGE).warnings


def test_noise_is_a_share_of_the_range_of_its_channel() -> None:
    card = api.model_card("restormer-gray-denoise-25")
    assert not noise_fit(card, [noise(25), noise(250)], [(0, 255), (0, 2550)]).warnings
    fit = noise_fit(card, [noise(25), noise(250)], RANGE)
    assert "in channel 1" in fit.text and fit.warnings
    assert "cannot be estimated" in noise_fit(card, [None], RANGE).text


def test_of_an_image() -> None:
    rng = np.random.default_rng(0)
    smooth = 100 + 50 * np.sin(np.arange(256) / 30) * np.ones((256, 1))
    found = estimate_noise(smooth + rng.normal(0, 25, smooth.shape))
    assert not noise_fit(api.model_card("restormer-gray-denoise-25"), [found], RANGE).warnings
    assert noise_fit(api.model_card("restormer-gray-denoise-50"), [found], RANGE).warnings
