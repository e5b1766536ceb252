from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

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
        ("swinir-classical-df2k-x2", 10, "denoise first, in the same run"),
        ("swinir-x2-light", 2, ""),
        ("swinir-x2-light", 5, "denoise first, in the same run"),
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


def scene(dim: float, bright: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Dim blobs and lines on a dark ground, a bright part beside them, and where the dim part is."""
    rng = np.random.default_rng(seed)
    field = sum(ndimage.gaussian_filter(rng.normal(size=(192, 192)), s) * s for s in (1.5, 4.0))
    clean = 500 + dim * np.clip(field / field.std(), 0, 3) / 3
    rows = np.arange(192)[:, None] * np.ones(192)
    if bright:
        clean = np.where(rows < 20, 500 + bright * (clean - 500) / dim, clean)
    return clean, rows >= 28


def psnr(result: np.ndarray, clean: np.ndarray, where: np.ndarray) -> float:
    return float(-10 * np.log10(((result - clean)[where] ** 2).mean() / np.ptp(clean[where]) ** 2))


def advised(warning: str) -> tuple[float, float]:
    """The value range that a warning advises."""
    number = r"([-\d.e+]+)"
    pair = re.search(f"such as {number} to {number}, as the value range|spans {number} to {number}", warning)
    assert pair is not None, warning
    low, high = (float(number) for number in pair.groups() if number is not None)
    return low, high


@pytest.mark.parametrize(
    ("dim", "bright", "sigma", "given", "word", "better"),
    [
        (300, 60000, 10, None, "dim beside its brightest part", 8),
        (300, 60000, 40, None, "dim beside its brightest part", 4),
        (300, 0, 10, (0, 65535), "the image spans", 8),
        (2000, 0, 60, (0, 65535), "expects more noise", 0.3),
        (300, 0, 60, (500, 560), "expects less noise", 0.3),
    ],
)
def test_following_the_advice_makes_the_result_better(
    dim: float, bright: float, sigma: float, given: tuple[float, float] | None, word: str, better: float
) -> None:
    clean, where = scene(dim, bright)
    noisy = (clean + np.random.default_rng(1).normal(0, sigma, clean.shape)).astype(np.float32)
    model = "restormer-denoise-light"
    settings = {"device": "cpu", **({"value_range": given} if given else {})}
    plan = api.plan(noisy, model=model, **settings)
    assert len(plan.warnings) == 1 and word in plan.warnings[0]
    before = api.denoise(noisy, model=model, **settings)
    after = api.denoise(noisy, model=model, device="cpu", value_range=advised(plan.warnings[0]))
    assert psnr(after, clean, where) > psnr(before, clean, where) + better
    assert psnr(after, clean, where) > psnr(noisy, clean, where)
    if not bright:  # what the image spans is what it is planned with by itself
        assert not api.plan(noisy, model=model, device="cpu").warnings


def test_an_image_of_little_noise_is_better_as_it_is() -> None:
    angle = np.arange(192) / 12
    clean, where = 1500 + 1000 * np.sin(angle) * np.sin(angle)[:, None], np.ones((192, 192), bool)
    noisy = (clean + np.random.default_rng(1).normal(0, 0.5, clean.shape)).astype(np.float32)
    plan = api.plan(noisy, model="restormer-denoise-light", device="cpu")
    assert "may be better as it is" in plan.warnings[0]
    result = api.denoise(noisy, model="restormer-denoise-light", device="cpu")
    assert psnr(result, clean, where) < psnr(noisy, clean, where)


def test_it_is_said_in_plan_log_and_report(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clean, _ = scene(300, 60000)
    noisy = (clean + np.random.default_rng(1).normal(0, 10, clean.shape)).astype(np.float32)
    api.denoise(noisy, output=tmp_path / "out.zarr", device="cpu")
    plan = api.plan(noisy, device="cpu")
    assert "warning    The model expects more noise" in str(plan)
    assert str(api.report(plan, timed=False)).count("The model expects more noise") == 1
    assert plan.warnings[0] in caplog.messages
    assert plan.warnings[0] in api.run_report(tmp_path / "out.zarr").page


def test_settings_follow_the_advice() -> None:
    """Each warning that names a setting gives it as well, and with it the warning is gone."""
    card = api.model_card("swinir-gray-denoise-50")
    helps = noise_fit(card, [noise(14)], RANGE, api.models()).helps
    assert helps == {"model": "swinir-gray-denoise-15"}
    assert not noise_fit(api.model_card(helps["model"]), [noise(14)], RANGE, api.models()).warnings
    grows = noise_fit(api.model_card("restormer-gray-denoise-25"), [noise(25, gain=6.0)], RANGE, api.models())
    assert grows.helps == {"intensity": "poisson-gaussian"}
    assert noise_fit(api.model_card("swinir-x2-light"), [noise(5)], RANGE).helps == {"denoise": "auto"}
    correlated = noise_fit(
        api.model_card("restormer-gray-denoise-25"), [noise(25, correlation=0.4)], RANGE, api.models()
    )
    assert correlated.helps == {"model": "restormer-denoise-light"}


def test_advised_ranges_are_those_of_each_channel() -> None:
    card = api.model_card("restormer-denoise-light")
    wide, fitting = (0.0, 60_000.0), (0.0, 255.0)
    fit = noise_fit(card, [noise(5), noise(5), noise(4)], [wide, fitting, wide])
    assert fit.too_little and fit.share is not None and fit.expected == card.noise_levels
    first, second, third = fit.helps["value_range"]
    assert second == fitting and first != wide and third != wide
    assert not noise_fit(card, [noise(5), noise(5), noise(4)], fit.helps["value_range"]).warnings
