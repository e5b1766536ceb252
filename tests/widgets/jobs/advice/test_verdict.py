from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from napari_restore import api
from napari_restore.engine.planning.noise_fit import NoiseFit
from napari_restore.widgets.jobs.advice.verdict import verdict_of


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.05, "Fits: 5 % noise, made for 0.8–28 %"),
        (0.0035, "Fits: 0.35 % noise, near the 0.8–28 % that it is made for"),
        (0.3, "Fits: 30 % noise, near the 0.8–28 % that it is made for"),
    ],
)
def test_noise_outside_the_range_is_not_said_to_be_inside(share: float, text: str) -> None:
    plan = SimpleNamespace(card=api.model_card("restormer-denoise-light"))
    report: Any = SimpleNamespace(fit=NoiseFit("", share=share, expected=(0.008, 0.28)), plan=plan)
    assert verdict_of(report).text == text
