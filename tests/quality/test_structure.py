from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_restore.quality.structure import (
    WINDOW,
    filter_count,
    filtered,
    log10_p_of_maximum,
    structure_score,
    window_maximum,
    window_sum,
)

ALL = np.ones((256, 256), bool)


def noise(seed: int, sigma: float = 0.0, side: int = 256) -> np.ndarray:
    """Noise of variance 1; blurred by a Gaussian, its autocorrelation is exp(-lag^2 / (4 sigma^2))."""
    white = np.random.default_rng(seed).normal(size=(side, side))
    field = ndimage.gaussian_filter(white, sigma, mode="wrap") if sigma else white
    return (field / field.std()).astype(np.float32)


@pytest.mark.parametrize(("sigma", "rho"), [(0.0, 0.0), (0.7, 0.6)])
def test_responses_to_noise_have_variance_1(sigma: float, rho: float) -> None:
    responses = [response for response, _ in filtered(noise(0, sigma), ALL, (rho, rho))]
    assert len(responses) == filter_count()
    spreads = [float(response[30:-30, 30:-30].std()) for response in responses]
    assert spreads == pytest.approx([1] * len(spreads), abs=0.15)


def test_responses_at_borders_and_holes_have_variance_1() -> None:
    valid = ALL.copy()
    valid[100:140, 100:140] = False
    edges, holes = [], []
    for seed in range(4):
        for response, _ in filtered(noise(seed), valid, (0.0, 0.0)):
            edges.append(response[:3])
            holes.append(response[96:100, 100:140])
            assert not response[~valid].any()
    assert float(np.std(edges)) == pytest.approx(1, abs=0.1)
    assert float(np.std(holes)) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("sigma", "rho"), [(0.0, 0.0), (0.7, 0.6)])
def test_the_probability_of_windows_of_noise_is_uniform(sigma: float, rho: float) -> None:
    maxima = [window_maximum(structure_score(noise(seed, sigma), ALL, (rho, rho))) for seed in range(4)]
    p = 10 ** log10_p_of_maximum(np.abs(maxima), (rho, rho)).ravel()
    assert p.size == 1024
    assert (p < 0.1).mean() == pytest.approx(0.1, abs=0.035)
    assert (p < 0.01).mean() < 0.025


def test_probabilities_far_out_are_finite_and_fall() -> None:
    logs = log10_p_of_maximum(np.array([0.0, 3.0, 6.0, 7.5, 12.0, 60.0]), (0.0, 0.0))
    assert np.isfinite(logs).all() and (np.diff(logs) < 0).all() and logs[0] == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_a_spot_is_found_where_it_is_with_its_sign(sign: int) -> None:
    y, x = np.mgrid[:256, :256]
    spot = 3 * np.exp(-((y - 90) ** 2 + (x - 170) ** 2) / (2 * 1.5**2))
    score = structure_score((noise(1) + sign * spot).astype(np.float32), ALL, (0.0, 0.0))
    at = np.unravel_index(np.abs(score).argmax(), score.shape)
    assert np.hypot(at[0] - 90, at[1] - 170) < 3 and np.sign(score[at]) == sign
    assert log10_p_of_maximum(np.abs(score).max(), (0.0, 0.0)) < -4


def test_what_is_tolerated_does_not_count() -> None:
    line = np.zeros((256, 256), np.float32)
    line[120:122, 50:200] = 1
    score = structure_score(line, ALL, (0.0, 0.0))
    tolerated = structure_score(line, ALL, (0.0, 0.0), tolerated=np.full((256, 256), 2, np.float32))
    assert score.max() > 3 and np.abs(tolerated).max() == 0


def test_windows_at_the_end_are_smaller() -> None:
    values = np.arange(20 * 33, dtype=np.float32).reshape(20, 33)
    assert window_maximum(-values).shape == window_sum(values).shape == (2, 3)
    assert window_maximum(-values)[1, 2] == -values[-1, -1]
    assert window_sum(values).sum() == values.sum() and WINDOW == 16
