from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_restore.errors import RecipeError
from napari_restore.intensity.scaling import ValueRange, estimate_range, fill_missing, missing, put_back, to_dtype


@given(st.integers(0, 2**16 - 2), st.integers(1, 2**16 - 1))
def test_uint16_survives_the_round_trip(low: int, width: int) -> None:
    values = np.arange(2**16, dtype=np.uint16)
    scale = ValueRange(low, low + width)
    small = values[max(low - width, 0) : low + 2 * width]  # up to one range outside of the range
    np.testing.assert_array_equal(to_dtype(scale.restore(scale.normalise(small)), np.uint16), small)


def test_a_large_offset_costs_no_digits() -> None:
    values = 1e12 + np.linspace(0, 1, 11)
    scale = ValueRange(1e12, 1e12 + 1)
    np.testing.assert_allclose(scale.normalise(values), np.linspace(0, 1, 11), atol=2e-4)
    np.testing.assert_allclose(scale.restore(scale.normalise(values)), values, rtol=0, atol=2e-4)


def test_normalise_does_not_wrap_unsigned_values() -> None:
    assert ValueRange(10, 20).normalise(np.array([0, 10], np.uint8)).tolist() == [-1.0, 0.0]


@pytest.mark.parametrize("bounds", [(1, 1), (2, 1), (0, np.nan), (0, np.inf), (-1.5e308, 1.5e308)])
def test_an_empty_or_infinite_range_is_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match="value range"):
        ValueRange(*bounds)


def test_estimate_range_ignores_hot_dead_and_missing_pixels() -> None:
    samples = np.random.default_rng(0).uniform(100, 200, 100_000).astype(np.float32)
    samples[:50] = 1e9
    samples[50:100] = -1e9
    samples[100:200] = np.nan
    samples[200:300] = np.inf
    estimate = estimate_range(samples)
    assert 100 < estimate.low < 100.2
    assert 199.8 < estimate.high < 200


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        (np.full(10, 7, np.uint8), (7, 8)),
        (np.full(10, np.nan), (0, 1)),
        (np.zeros(0), (0, 1)),
        (np.r_[np.zeros(10_000), 5.0], (0, 5)),
        (np.array([3.0, 4.0]), (3, 4)),
        (np.full(10, 1e20), (1e20, 1e20 + 1e14)),
        (np.array([0, 2**64 - 1], np.uint64), (0, 2**64)),
        (np.array([-60000, 60000], np.float16), (-60000, 60000)),
    ],
)
def test_estimate_range_of_odd_images(samples: np.ndarray[Any, Any], expected: tuple[float, float]) -> None:
    estimate = estimate_range(samples)
    assert (estimate.low, estimate.high) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("percentiles", [(5, 5), (-1, 99), (1, 101), (99, 1)])
def test_percentiles_must_rise(percentiles: tuple[float, float]) -> None:
    with pytest.raises(RecipeError, match="percentiles"):
        estimate_range(np.arange(10), percentiles)


INTEGERS = [np.dtype(f"{kind}{size}") for kind in "ui" for size in (1, 2, 4, 8)]


@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
@pytest.mark.parametrize("source", [np.float32, np.float64])
def test_integers_are_clipped_and_never_wrap(dtype: np.dtype[Any], source: type) -> None:
    info = np.iinfo(dtype)
    extremes = np.array([-np.inf, -1e30, info.min, 0, info.max, 1e30, np.inf, np.nan], source)
    expected = [info.min, info.min, info.min, 0, info.max, info.max, info.max, 0]
    assert to_dtype(extremes, dtype).tolist() == expected


def test_the_last_float_below_the_largest_int64_is_kept() -> None:
    assert to_dtype(np.array([np.nextafter(2.0**63, 0)]), np.int64).tolist() == [2**63 - 1024]


def test_integers_are_rounded_and_the_input_is_left_alone() -> None:
    values = np.array([0.49, 0.51, 1.5, 2.5, -0.4], np.float32)
    assert to_dtype(values, np.uint8).tolist() == [0, 1, 2, 2, 0]
    assert values[0] == np.float32(0.49)
    assert to_dtype(np.array([258.0], np.float32), ">u2").tobytes() == b"\x01\x02"


def test_floats_are_clipped_but_keep_nan_and_infinity() -> None:
    values = np.array([1e30, -1e30, np.inf, np.nan, 0.5])
    np.testing.assert_array_equal(
        to_dtype(values, np.float16), np.array([65504, -65504, np.inf, np.nan, 0.5], np.float16)
    )
    assert to_dtype(values, np.float64) is values
    assert to_dtype(np.zeros(3, np.float16), np.float32).dtype == np.float32


@pytest.mark.parametrize("dtype", [bool, complex])
def test_other_types_are_refused(dtype: type) -> None:
    with pytest.raises(RecipeError, match="cannot hold a restored image"):
        to_dtype(np.zeros(3), dtype)


def test_finite_and_integer_planes_pass_through() -> None:
    for plane in (np.zeros((4, 4), np.uint16), np.ones((4, 4), np.float32)):
        mask = missing(plane)
        assert mask is None
        assert fill_missing(plane, mask) is plane
        assert put_back(plane, plane, mask) is plane


def test_fill_comes_from_finite_pixels_of_the_same_plane() -> None:
    stack = np.stack([np.full((9, 9), 1.0), np.full((9, 9), 2.0), np.full((9, 9), np.nan)])
    stack[0, 3:6, 3:6] = np.nan
    stack[1, 0, 0] = -np.inf
    original = stack.copy()
    mask = missing(stack)
    assert mask is not None
    filled = fill_missing(stack, mask)
    np.testing.assert_array_equal(filled, np.array([1.0, 2.0, 0.0])[:, None, None] * np.ones((9, 9)))
    np.testing.assert_array_equal(stack, original)
    np.testing.assert_array_equal(put_back(filled, stack, mask), original)


def test_filled_areas_have_the_noise_of_their_surroundings() -> None:
    plane = np.random.default_rng(0).normal(100, 10, (64, 64))
    hole = np.zeros(plane.shape, bool)
    hole[:, :20] = hole[-9:] = hole[20:30, 40:50] = True
    filled = fill_missing(np.where(hole, np.nan, plane), hole)
    np.testing.assert_array_equal(filled[~hole], plane[~hole])
    assert np.isfinite(filled).all()
    # Neighbouring pixels differ by the square root of 2 of the noise, along both axes; stripes would not.
    for axis in (0, 1):
        assert 0.8 < np.diff(filled, axis=axis)[:50, :20].std() / (10 * 2**0.5) < 1.2
    nearest = fill_missing(np.where(hole, np.nan, plane), hole, mirrored=False)
    np.testing.assert_array_equal(nearest[:50, :20], np.repeat(plane[:50, 20:21], 20, axis=1))


def test_a_single_missing_pixel_is_its_neighbour_in_either_way() -> None:
    plane = np.arange(25.0).reshape(5, 5)
    hole = plane == 12
    for mirrored in (True, False):
        assert fill_missing(plane, hole, mirrored=mirrored)[2, 2] in (7, 11, 13, 17)


def test_put_back_into_an_upscaled_slice_of_a_larger_result() -> None:
    plane = np.array([[1.0, np.nan, 3.0], [np.inf, 5.0, 6.0]])
    result = np.zeros((2, 10, 10), np.float32)
    put_back(result[:, 2:8, 1:10], plane, missing(plane))
    expected = np.kron(np.where(np.isfinite(plane), 0, 1), np.ones((3, 3)))
    np.testing.assert_array_equal(~np.isfinite(result[1, 2:8, 1:10]), expected)
    assert np.isfinite(result).sum() == 200 - 2 * 18
    assert np.isposinf(result[0, 5, 1])
