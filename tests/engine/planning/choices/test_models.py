from __future__ import annotations

import numpy as np
import pytest

from napari_restore import api
from napari_restore.engine.planning.choices.models import Recommendation, recommend
from napari_restore.intensity.noise import NoiseEstimate


def advised(
    image: np.ndarray, sigma: float, correlation: float = 0.0, model: str = api.DENOISER
) -> list[Recommendation]:
    axes = "YXS"[: image.ndim]
    plan = api.plan(
        image, axes=axes, model=model, value_range=(0, 1000), valid_range="all", fill_values="none", neighbours="none"
    )
    noise = NoiseEstimate(0.0, sigma**2, levels=(0.0, 1000.0), median_level=300.0, correlation=(correlation, 0.0))
    return list(recommend(plan, [noise]))


@pytest.fixture(autouse=True)
def no_weights(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path_factory.mktemp("models")))


def test_bundled_models_for_the_noise_come_first() -> None:
    found = advised(np.zeros((64, 64), np.uint16), sigma=60)
    assert [one.card.name for one in found[:2]] == [api.DENOISER, "swinir-denoise-light"]
    assert found[0].reason == "gray; made for 0.8–28 % noise, 6 % here; bundled" and found[0].fits
    assert {one.card.task for one in found} == {"denoise"}
    third = found[2]
    assert third.card.name == "restormer-gray-denoise-blind" and third.reason.endswith("104.4 MB to download")


def test_models_for_other_noise_come_behind_the_nearest() -> None:
    found = advised(np.zeros((64, 64), np.uint16), sigma=160)
    gray = [one.card.name for one in found if one.card.in_channels == 1]
    assert gray.index("restormer-gray-denoise-50") < gray.index("restormer-gray-denoise-25")
    assert gray.index("restormer-gray-denoise-25") < gray.index("restormer-gray-denoise-15")
    assert not next(one for one in found if one.card.name == "restormer-gray-denoise-15").fits


def test_correlated_noise_is_for_models_that_know_it() -> None:
    found = {one.card.name: one for one in advised(np.zeros((64, 64), np.uint16), sigma=60, correlation=0.5)}
    assert found[api.DENOISER].fits and not found["restormer-gray-denoise-blind"].fits
    assert "correlated between pixels" in found["restormer-gray-denoise-blind"].reason


def test_models_with_the_channels_of_the_image_come_first() -> None:
    found = advised(np.zeros((64, 64, 3), np.uint8), sigma=60)
    assert found[0].card.name == "restormer-denoise-rgb-light" and found[0].reason.startswith("colour samples together")
    gray = next(one for one in found if one.card.name == api.DENOISER)
    assert not gray.fits and gray.reason.startswith("each colour on its own")


def test_super_resolution_has_its_own_models() -> None:
    found = advised(np.zeros((64, 64), np.uint16), sigma=5, model="swinir-x4-light")
    assert [one.card.name for one in found[:2]] == ["swinir-x2-light", "swinir-x4-light"]
    assert all(one.card.scale > 1 for one in found)


def test_the_public_function_takes_a_report() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(300, 30, (128, 128)).astype(np.float32)
    report = api.report(api.plan(image), timed=False)
    assert api.recommend(report)[0].card.name == api.DENOISER
    assert report.histograms[0] is not None and sum(report.histograms[0].counts) > 10_000
