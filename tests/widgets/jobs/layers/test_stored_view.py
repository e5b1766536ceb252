from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_restore.widgets.jobs.layers.stored_view import StoredView

PIXELS = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)


@pytest.mark.parametrize("key", [(0,), 1, (slice(0, 2), 1), (..., 2), (slice(None), ..., slice(1, 4, 2)), ...])
def test_indexing_is_that_of_a_transposed_array(key: Any) -> None:
    view = StoredView(PIXELS).transpose((2, 0, 3, 1))
    expected = PIXELS.transpose(2, 0, 3, 1)
    assert (view.shape, view.ndim, view.dtype, len(view)) == (expected.shape, 4, expected.dtype, 4)
    np.testing.assert_array_equal(view[key], expected[key])


def test_a_channel_of_it() -> None:
    view = StoredView(PIXELS).transpose((1, 0, 2, 3)).at(0, 2)
    np.testing.assert_array_equal(np.asarray(view), PIXELS[:, 2])
    np.testing.assert_array_equal(view[1, :, np.int64(3)], PIXELS[1, 2, :, 3])


@pytest.mark.parametrize("key", [(0,), (slice(None), 0), (..., 0, 1), (1, slice(0, 0)), (slice(0, 2), -1), ...])
def test_a_channel_of_it_that_keeps_its_axis(key: Any) -> None:
    view = StoredView(PIXELS).transpose((2, 1, 3, 0)).only(1, 2)
    expected = PIXELS.transpose(2, 1, 3, 0)[:, 2:3]
    assert view.shape == expected.shape
    np.testing.assert_array_equal(view[key], expected[key])


def test_nothing_is_remembered() -> None:
    pixels = PIXELS.copy()
    view = StoredView(pixels).at(1, 0)
    before = view[0].copy()
    pixels += 1
    np.testing.assert_array_equal(view[0], before + 1)
