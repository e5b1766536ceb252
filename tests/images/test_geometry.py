from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_restore.images.geometry import Sampling, first_centre

sizes = st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)
samplings = st.builds(Sampling, sizes, st.floats(-1e3, 1e3))
counts, factors = st.integers(1, 200), st.integers(1, 8)


@given(samplings, counts, factors)
def test_what_an_image_covers_does_not_change_with_its_scale(sampling: Sampling, count: int, factor: int) -> None:
    edges = pytest.approx(sampling.edges(count))
    assert sampling.upscaled(factor).edges(count * factor) == edges
    assert sampling.upscaled(factor).downscaled(factor).edges(count) == edges
    assert sampling.downscaled(1 / factor).edges(count * factor) == edges


@given(samplings, counts, factors)
def test_an_old_centre_is_the_mean_of_the_new_ones(sampling: Sampling, count: int, factor: int) -> None:
    new = sampling.upscaled(factor).positions(count * factor).reshape(count, factor)
    np.testing.assert_allclose(new.mean(1), sampling.positions(count), atol=1e-9 * abs(sampling.pixel_size) * count)


@given(samplings, st.integers(2, 200))
def test_positions_give_the_sampling_back(sampling: Sampling, count: int) -> None:
    again = Sampling.of(sampling.positions(count))
    assert again is not None
    assert (again.pixel_size, again.origin) == pytest.approx((sampling.pixel_size, sampling.origin), rel=1e-6)
    between = Sampling.between(*sampling.edges(count), count)
    assert between.positions(count) == pytest.approx(sampling.positions(count), abs=1e-9)


def test_a_part_lies_where_it_was() -> None:
    np.testing.assert_allclose(Sampling(-0.5, 3.0).starting_at(4).positions(2), Sampling(-0.5, 3.0).positions(6)[4:])


def test_the_picture_of_the_docstring() -> None:
    np.testing.assert_allclose(Sampling().upscaled(2).positions(4), [-0.25, 0.25, 0.75, 1.25])
    np.testing.assert_allclose(first_centre(np.array([0.5, 1.0, 2.0])), [-0.25, 0.0, 0.5])


@pytest.mark.parametrize(
    "positions", [[1.0], [1.0, 1.0], [1.0, 2.0, 4.0], [np.nan, 1.0], [np.inf, 1.0], ["a", "b"], [[1.0, 2.0]]]
)
def test_positions_without_a_spacing(positions: list[object]) -> None:
    assert Sampling.of(np.array(positions)) is None


@pytest.mark.parametrize("values", [(0.0, 0.0), (np.nan, 0.0), (np.inf, 0.0), (1.0, np.nan)])
def test_no_pixel_is_of_size_zero(values: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not finite, or the size is zero"):
        Sampling(*values)
