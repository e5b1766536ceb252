from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from napari_restore import api
from napari_restore.adapting.view import restored_view, slices_of
from napari_restore.engine.planning.plan import Plan
from napari_restore.errors import RecipeError

TINY = Path(__file__).parents[1] / "weights/restormer-sigma25-tiny.safetensors"


def plan_of(shape: tuple[int, ...], axes: str) -> Plan:
    given: dict[str, Any] = {"intensity": "range", "value_range": (0, 1000), "neighbours": "none"}
    source = np.random.default_rng(0).integers(0, 1000, shape).astype(np.uint16)
    return api.plan(source, model=TINY, axes=axes, **given)


def twice(values: Tensor) -> Tensor:
    return 2 * values


def test_the_middle_of_the_region_is_taken_and_stays_inside() -> None:
    plan = plan_of((3, 300, 400), "ZYX")
    assert slices_of(plan, {}) == {"Z": slice(0, 1), "Y": slice(54, 246), "X": slice(104, 296)}
    found = slices_of(plan, {"Z": 9, "Y": slice(290, 300), "X": slice(-20, 1000)})
    assert found["Z"] == slice(2, 3) and found["Y"] == slice(291, 299) and found["X"].stop <= 400
    assert slices_of(plan, {"Y": slice(298, 300)})["Y"] == slice(292, 300)
    with pytest.raises(RecipeError, match="the view has an axis T, and the source has Z, Y, X; leave T out"):
        slices_of(plan, {"T": 0})


@pytest.mark.parametrize(("axes", "shape"), [("YX", (64, 72)), ("CZYX", (2, 3, 64, 72)), ("YXS", (64, 72, 3))])
def test_it_is_in_data_units_at_its_place(axes: str, shape: tuple[int, ...]) -> None:
    plan = plan_of(shape, axes)
    region = {"C": 1, "Z": 2} if axes == "CZYX" else {}
    view = restored_view(plan, {**region, "X": slice(16, 32)}, twice, 7)
    whole = plan.image.read(tuple(view.region[axis] for axis in plan.image.canonical))
    assert view.step == 7 and view.region["X"] == slice(16, 32)
    np.testing.assert_allclose(view.pixels, 2.0 * whole.reshape(view.pixels.shape), rtol=1e-4)
