from __future__ import annotations

import numpy as np
import pytest

from napari_restore.training.structures import KINDS, render


@pytest.mark.parametrize("kind", KINDS)
def test_a_structure_is_a_picture_that_its_seed_determines(kind: str) -> None:
    first, again, other = (render(kind, 96, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.shape == (96, 96) and first.dtype == np.float32
    assert (first.min(), first.max()) == (0.0, 1.0)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).mean() > 0.005
