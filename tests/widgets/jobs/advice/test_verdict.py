from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from napari_restore import api
from napari_restore.engine.planning.noise_fit import NoiseFit
from napari_restore.widgets.jobs.advice.verdict import verdict_of


@pytest.mark.parametrize(
    ("share", "expected", "text"),
    [
        (0.05, (0.008, 0.28), "Fits: 5 % noise, made for 0.8–28 %"),
        (0.0035, (0.008, 0.28), "Fits: 0.35 % noise, near the 0.8–28 % that it is made for"),
        (0.3, (0.008, 0.28), "Fits: 30 % noise, near the 0.8–28 % that it is made for"),
        (0.198, (0.196, 0.196), "Fits: 20 % noise, made for 20 %"),
    ],
)
def test_noise_outside_the_range_is_not_said_to_be_inside(
    share: float, expected: tuple[float, float], text: str
) -> None:
    plan = SimpleNamespace(card=api.model_card("restormer-denoise-light"))
    report: Any = SimpleNamespace(fit=NoiseFit("", share=share, expected=expected), plan=plan)
    assert verdict_of(report).text == text


def test_a_layer_without_an_estimate_has_no_verdict() -> None:
    plan = SimpleNamespace(card=api.model_card("restormer-denoise-light"))
    report: Any = SimpleNamespace(fit=NoiseFit("Noise: cannot be estimated from this image."), plan=plan)
    found = verdict_of(report)
    assert (found.text, found.known) == ("The noise of this layer cannot be estimated", False)
