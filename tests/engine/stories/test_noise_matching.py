"""A network that knows one level of noise, on cameras of four levels: as good as at its own level."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.engine.compute.predictor import predictor_of
from napari_restore.engine.compute.region import restore_region
from napari_restore.engine.planning.plan import Plan
from napari_restore.engine.planning.planner import make_plan
from napari_restore.engine.planning.recipe import make_recipe
from napari_restore.images.image import Image
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.models.zoo import find_card
from napari_restore.quality.metrics import psnr
from napari_restore.training.structures import render

WEIGHTS = Path(__file__).parents[2] / "weights/restormer-sigma25-tiny.safetensors"
"""Trained by ``napari-restore-train restormer-sigma25-tiny --bf16``."""
SIGMA = 25 / 255


@pytest.fixture(scope="module")
def structure() -> np.ndarray:
    """A micrograph's structure that no training run has drawn, in [0, 1]."""
    rng = np.random.default_rng(2026)
    drawn = ndimage.gaussian_filter(render("nuclei", 256, rng) + 0.7 * render("filaments", 256, rng), 1.0)
    return (drawn - drawn.min()) / np.ptp(drawn)


def planned(pixels: np.ndarray, **settings: object) -> Plan:
    card = find_card(WEIGHTS).model_copy(update={"sigma": SIGMA, "task": "denoise"})
    recipe = make_recipe(model=str(WEIGHTS), axes="YX", tile=256, dtype="float64", device="cpu", **settings)
    return make_plan(Image(pixels, "YX"), card, recipe)


def restored(plan: Plan) -> np.ndarray:
    predict = predictor_of(plan)
    return restore_region(plan, tuple(slice(0, n) for n in plan.shape), predict)


LEVELS = [(25.0, 8.0, 400.0, 12.0), (80.0, 0.7, 100.0, 2.0), (250.0, 2.0, 100.0, 6.0), (1000.0, 11.0, 1000.0, 60.0)]
"""Brightest structure in photons, gain, offset and read noise in data units."""
BACKGROUND = 10.0
"""Photons everywhere: with fewer than about five, stabilised noise is not Gaussian enough for so close a match."""


@pytest.mark.parametrize(
    ("photons", "gain", "offset", "read_noise"),
    [LEVELS[0], *(pytest.param(*level, marks=pytest.mark.long) for level in LEVELS[1:])],
)
def test_as_good_as_at_its_own_level(
    structure: np.ndarray, photons: float, gain: float, offset: float, read_noise: float
) -> None:
    rng, camera = np.random.default_rng(0), CameraNoise(gain, offset, read_noise)
    expected = BACKGROUND + photons * structure
    recorded = np.rint(offset + gain * rng.poisson(expected) + rng.normal(0, read_noise, expected.shape))
    # The same image with the very noise that the network was trained for, and nothing to estimate.
    truth = SIGMA * camera.expected(offset + gain * expected)
    own = restored(planned(truth + SIGMA * rng.standard_normal(truth.shape), value_range=(0.0, 1.0)))
    plan = planned(recorded.astype(np.uint16))
    assert plan.recipe.intensity == "poisson-gaussian"
    matched = restored(plan)
    found, span = SIGMA * camera.expected(matched), float(np.ptp(truth))
    assert psnr(truth, found, span) > psnr(truth, own, span) - 0.3
    assert matched.mean() - offset == pytest.approx(gain * expected.mean(), rel=0.02)


def test_without_matching_the_network_takes_the_noise_for_another(structure: np.ndarray) -> None:
    photons, gain, offset, read_noise = LEVELS[2]
    rng, expected = np.random.default_rng(0), BACKGROUND + photons * structure
    recorded = np.rint(offset + gain * rng.poisson(expected) + rng.normal(0, read_noise, expected.shape))
    truth = offset + gain * expected
    plain, matched = (
        psnr(truth, restored(planned(recorded.astype(np.uint16), intensity=kind)), float(np.ptp(truth)))
        for kind in ("percentile", "poisson-gaussian")
    )
    assert matched > plain + 3
