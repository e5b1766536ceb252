from __future__ import annotations

import numpy as np
import pytest

from napari_restore.intensity.scaling import ValueRange
from napari_restore.intensity.stabilise import CameraNoise, NoiseScale
from napari_restore.intensity.table import by_table


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", ">u2", ">i2", "u4", "f4"])
@pytest.mark.parametrize("scale", [ValueRange(-3.5, 700.25), NoiseScale(CameraNoise(0.7, 90.0, 2.5), 95.0, 0.1)])
def test_the_table_has_the_values_of_the_formula(kind: str, scale: ValueRange | NoiseScale) -> None:
    pixels = np.random.default_rng(0).integers(0, 2**31, (2, 300, 400)).astype(kind)
    for x in (pixels, pixels[:, 1::2, 3:-5], pixels[0, :4, :4]):
        found = scale.normalise(x)
        assert found.dtype == np.float32 and found.shape == x.shape
        np.testing.assert_array_equal(found, type(scale)._normalised(scale, x))


def test_a_table_is_made_once() -> None:
    made = []

    def function(settings: int, x: np.ndarray) -> np.ndarray:
        made.append(settings)
        return x.astype(np.float32)

    for settings in (1, 1, 2):
        by_table(function, settings, np.zeros((300, 300), np.uint16))
    assert made == [1, 2]
