from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_restore.errors import RecipeError
from napari_restore.tiling.grid import AxisTiling, plane_grid


@st.composite
def axis_tilings(draw: st.DrawFn, longest: int = 300) -> AxisTiling:
    """Any valid tiling of an axis, by drawing the overlap in units of the alignment."""
    alignment = draw(st.sampled_from([1, 2, 3, 7, 8]))
    overlap = draw(st.integers(0, 8)) * alignment
    halo = draw(st.integers(0, overlap // 2))
    tile = overlap + draw(st.integers(1, 8)) * alignment
    return AxisTiling(draw(st.integers(1, longest)), tile, halo, overlap - 2 * halo, alignment)


@given(axis_tilings(), st.sampled_from([1, 2, 3, 4]))
def test_weights_sum_to_one_at_every_output_pixel(axis: AxisTiling, scale: int) -> None:
    total = np.zeros(axis.padded * scale)
    for k in range(axis.count):
        start = axis.origin(k) * scale
        total[start : start + axis.size * scale] += axis.weights(k, scale)
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=1e-6)


@given(axis_tilings(), st.sampled_from([1, 2, 3, 4]))
def test_no_weight_within_the_halo_of_an_inner_edge(axis: AxisTiling, scale: int) -> None:
    for k in range(axis.count):
        weights = axis.weights(k, scale)
        if k > 0:
            assert not weights[: axis.halo * scale].any()
        if k + 1 < axis.count:
            assert not weights[(axis.size - axis.halo) * scale :].any()


@given(axis_tilings())
def test_tiles_are_aligned_inside_and_cover_the_axis(axis: AxisTiling) -> None:
    origins = [axis.origin(k) for k in range(axis.count)]
    assert origins[0] == 0
    assert origins[-1] + axis.size == axis.padded
    assert all(origin % axis.alignment == 0 for origin in [*origins, axis.size, axis.padded])
    assert all(a < b for a, b in itertools.pairwise(origins))
    assert 0 <= axis.padded - axis.length < axis.alignment


@given(axis_tilings())
def test_support_is_where_the_weights_are(axis: AxisTiling) -> None:
    for k in range(axis.count):
        low, high = axis.support(k)
        occupied = np.flatnonzero(axis.weights(k)) + axis.origin(k)
        assert (low, high) == (occupied[0], occupied[-1] + 1)
        assert len(occupied) == high - low
        assert low < axis.length  # every tile has a say in the plane itself


@given(axis_tilings(), st.data())
def test_touching_equals_brute_force(axis: AxisTiling, data: st.DataObject) -> None:
    low, high = (data.draw(st.integers(-5, axis.padded + 5)) for _ in range(2))
    supports = [axis.support(k) for k in range(axis.count)]
    expected = [k for k, (a, b) in enumerate(supports) if low < high and max(a, low) < min(b, high)]
    assert list(axis.touching(low, high)) == expected


@given(axis_tilings())
def test_seam_is_centred_in_the_overlap(axis: AxisTiling) -> None:
    for k in range(1, axis.count):
        before = axis.seam(k) - axis.origin(k)
        after = axis.origin(k - 1) + axis.size - (axis.seam(k) + axis.blend)
        assert min(before, after) >= axis.halo
        assert after - before in (0, 1)


def test_weights_of_inner_tiles_are_shared_and_read_only() -> None:
    axis = AxisTiling(10_000, 64, 8, 16, 8)
    assert axis.weights(3) is axis.weights(40)
    with pytest.raises(ValueError, match="read-only"):
        axis.weights(3)[0] = 1


def test_blend_zero_is_a_hard_step() -> None:
    axis = AxisTiling(200, 64, 8, 0, 8)
    assert set(axis.weights(1, 2).tolist()) == {0.0, 1.0}


def test_a_huge_plane_plans_instantly() -> None:
    grid = plane_grid(10**6, 10**6, tile=256, halo=32, blend=32, alignment=8)
    assert grid.count == 6250**2
    tiles = grid.touching((10**6 - 100, 10**6), (500_000, 500_100))
    assert tiles == [(6249, 3124), (6249, 3125)]
    assert grid.origin(6249, 3124) == (10**6 - 256, 3124 * 160)


def test_grid_takes_one_tile_size_or_two() -> None:
    square = plane_grid(100, 300, tile=64, halo=8, blend=0, alignment=8)
    oblong = plane_grid(100, 300, tile=(32, 64), halo=8, blend=0, alignment=8)
    assert (square.tile_shape, oblong.tile_shape) == ((64, 64), (32, 64))
    assert (square.counts, square.count, square.shape) == ((2, 6), 12, (100, 300))
    assert plane_grid(5, 300, tile=64, halo=8, blend=0, alignment=8).tile_shape == (8, 64)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((100, 8, 0, 8), "tile 100 is not a multiple of 8 .*; use 96 or 104"),
        ((5, 0, 0, 8), "tile 5 is not a multiple of 8 .*; use 8"),
        ((64, 32, 0, 8), "use a tile of 72 or more"),
        ((64, 24, 18, 8), "use a tile of 72 or more"),
        ((64, 10, 0, 8), "= 20 is not a multiple of 8 .* use blend 4"),
        ((64, 10, 6, 8), "= 26 is not a multiple of 8 .* use blend 4 or 12"),
        ((0, 0, 0, 1), "tile 0 is too small; it must be 1"),
        ((64, -8, 0, 8), "halo -8 is too small; it must be 0"),
        ((64, 8, -8, 8), "blend -8 is too small"),
        ((64, 8, 0, 0), "alignment 0 is too small"),
    ],
)
def test_bad_settings_say_what_works(settings: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        AxisTiling(1000, *settings)


def test_the_tile_a_message_names_works() -> None:
    for halo in range(40):
        for blend in range(20):
            try:
                AxisTiling(1000, 64, halo, blend, 8)
            except RecipeError as error:
                if "use a tile of" in str(error):
                    smallest = int(str(error).split("use a tile of ")[1].split()[0])
                    assert smallest > 2 * halo + blend


@pytest.mark.parametrize("k", [-1, 3])
def test_a_tile_that_is_not_there(k: int) -> None:
    axis = AxisTiling(100, 48, 8, 0, 8)
    assert axis.count == 3
    for method in (axis.origin, axis.support, axis.weights, axis.seam):
        with pytest.raises(IndexError, match=f"tile {k} is not in"):
            method(k)
