from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_restore.models.zoo import find_card
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.regions import overlap, result_region


def test_a_view_is_found_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Image(np.zeros((4, 40, 48), np.float32))
    origin = (slice(1, 3), slice(10, 30), slice(0, 48))
    card = find_card("swinir-x2-light")
    monkeypatch.setattr("napari_restore.models.zoo.find_card", lambda model, **_: card)
    plan = Job.of(source, "ZYX", origin, Choices.of("any", value_range=(0, 1))).plan()
    view = (slice(2, 3), slice(0, 20), slice(40, 48))
    assert result_region(plan, view, origin) == (slice(1, 2), slice(0, 20), slice(80, 96))
    assert overlap(view, origin) == (slice(2, 3), slice(10, 20), slice(40, 48))
