from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_restore.tiling.blend import Canvas, cut_tile, source_window
from napari_restore.tiling.grid import TileGrid, plane_grid

Range = tuple[int, int]
Plane = npt.NDArray[np.float32]


@st.composite
def grids(draw: st.DrawFn, longest: int = 120) -> TileGrid:
    """Any valid grid over a plane of up to `longest` pixels a side, 1 x N included."""
    alignment = draw(st.sampled_from([1, 2, 7, 8]))
    overlap = draw(st.integers(0, 4)) * alignment
    halo = draw(st.integers(0, overlap // 2))
    tiles = tuple(overlap + draw(st.integers(1, 5)) * max(alignment, 4) // alignment * alignment for _ in range(2))
    height, width = draw(st.integers(1, longest)), draw(st.integers(1, longest))
    blend = overlap - 2 * halo
    return plane_grid(height, width, tile=(tiles[0], tiles[1]), halo=halo, blend=blend, alignment=alignment)


def ranges(length: int) -> st.SearchStrategy[Range]:
    return st.tuples(st.integers(0, length - 1), st.integers(1, length)).filter(lambda r: r[0] < r[1])


def restore(plane: Plane, grid: TileGrid, y: Range, x: Range, scale: int, seed: int | None = None) -> Plane:
    """Output of an identity network in a rectangle, or (with a seed) of one that adds its own noise to each tile."""
    canvas = Canvas(grid, y, x, channels=len(plane), scale=scale)
    y0, y1, x0, x1 = source_window(grid, *canvas.input_ranges)
    window = plane[:, y0:y1, x0:x1]
    finished = []
    for ky, kx in canvas.tiles():
        tile = cut_tile(window, (y0, x0), grid, ky, kx)
        result = np.kron(tile, np.ones((1, scale, scale), np.float32))
        if seed is not None:
            result = result + np.random.default_rng([seed, ky, kx]).normal(size=result.shape).astype(np.float32)
        canvas.add(ky, kx, result)
        finished += [(first, rows.copy()) for first, rows in canvas.finished()]
    assert [first for first, _ in finished] == list(np.cumsum([0] + [rows.shape[1] for _, rows in finished])[:-1])
    return np.concatenate([rows for _, rows in finished], axis=1)


def random_plane(grid: TileGrid, channels: int = 2) -> Plane:
    return np.random.default_rng(0).normal(size=(channels, *grid.shape)).astype(np.float32)


@settings(deadline=None)
@given(grids(), st.sampled_from([1, 2, 3, 4]), st.data())
def test_identity_network_reproduces_any_rectangle(grid: TileGrid, scale: int, data: st.DataObject) -> None:
    plane = random_plane(grid)
    y, x = data.draw(ranges(grid.shape[0] * scale)), data.draw(ranges(grid.shape[1] * scale))
    expected = np.kron(plane, np.ones((1, scale, scale), np.float32))[:, slice(*y), slice(*x)]
    np.testing.assert_allclose(restore(plane, grid, y, x, scale), expected, rtol=0, atol=2e-6)


@settings(deadline=None)
@given(grids(), st.sampled_from([1, 2, 3]), st.data())
def test_two_rectangles_agree_to_the_bit(grid: TileGrid, scale: int, data: st.DataObject) -> None:
    plane = random_plane(grid, channels=1)
    height, width = grid.shape[0] * scale, grid.shape[1] * scale
    whole = restore(plane, grid, (0, height), (0, width), scale, seed=1)
    y, x = data.draw(ranges(height)), data.draw(ranges(width))
    part = restore(plane, grid, y, x, scale, seed=1)
    np.testing.assert_array_equal(part, whole[:, slice(*y), slice(*x)])


@settings(deadline=None)
@given(grids(), st.data())
def test_cut_tile_equals_numpy_reflection(grid: TileGrid, data: st.DataObject) -> None:
    plane = random_plane(grid)
    ky, kx = data.draw(st.integers(0, grid.y.count - 1)), data.draw(st.integers(0, grid.x.count - 1))
    padding = [(0, 0), *((0, axis.padded - axis.length) for axis in (grid.y, grid.x))]
    y, x = grid.origin(ky, kx)
    expected = np.pad(plane, padding, mode="reflect")[:, y : y + grid.y.size, x : x + grid.x.size]
    np.testing.assert_array_equal(cut_tile(plane, (0, 0), grid, ky, kx), expected)


@settings(deadline=None)
@given(grids(), st.data())
def test_source_window_is_sufficient_and_minimal(grid: TileGrid, data: st.DataObject) -> None:
    y, x = data.draw(ranges(grid.shape[0])), data.draw(ranges(grid.shape[1]))
    numbers = np.arange(grid.shape[0] * grid.shape[1]).reshape(grid.shape)
    tiles = [cut_tile(numbers, (0, 0), grid, ky, kx) for ky, kx in grid.touching(y, x)]
    rows, columns = np.unravel_index(np.unique(tiles), grid.shape)
    assert source_window(grid, y, x) == (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)


def test_reflection_reaches_behind_a_tile_of_one_alignment() -> None:
    grid = plane_grid(9, 9, tile=8, halo=0, blend=0, alignment=8)
    assert source_window(grid, (8, 9), (0, 1)) == (1, 9, 0, 8)


def test_a_plane_of_one_row_is_repeated() -> None:
    grid = plane_grid(1, 20, tile=16, halo=0, blend=0, alignment=8)
    tile = cut_tile(np.arange(20)[None], (0, 0), grid, 0, 1)
    np.testing.assert_array_equal(tile, np.tile([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 18, 17, 16, 15], (8, 1)))


def test_inner_tiles_are_views() -> None:
    grid = plane_grid(100, 100, tile=32, halo=4, blend=8, alignment=8)
    plane = np.zeros((100, 100), np.uint16)
    assert np.shares_memory(cut_tile(plane, (0, 0), grid, 1, 1), plane)


def test_pixels_without_weight_may_be_anything() -> None:
    grid = plane_grid(64, 64, tile=32, halo=8, blend=0, alignment=8)
    canvas = Canvas(grid, (0, 64), (0, 64))
    for ky, kx in canvas.tiles():
        result = np.full((1, 32, 32), np.nan)
        (y0, y1), (x0, x1) = grid.y.support(ky), grid.x.support(kx)
        oy, ox = grid.origin(ky, kx)
        result[0, y0 - oy : y1 - oy, x0 - ox : x1 - ox] = 5.0
        canvas.add(ky, kx, result)
        for _, rows in canvas.finished():
            np.testing.assert_array_equal(rows, 5.0)


def test_a_tile_outside_the_rectangle_adds_nothing() -> None:
    grid = plane_grid(200, 200, tile=32, halo=4, blend=8, alignment=8)
    canvas = Canvas(grid, (0, 10), (0, 10))
    canvas.add(0, 0, np.zeros((1, 32, 32)))
    [(_, rows)] = canvas.finished()
    canvas.add(4, 4, np.ones((1, 32, 32)))
    assert not rows.any() and not list(canvas.finished())


def test_rows_are_handed_out_as_soon_as_no_tile_can_change_them() -> None:
    grid = plane_grid(1000, 100, tile=32, halo=4, blend=8, alignment=8)
    canvas = Canvas(grid, (0, 1000), (0, 100))
    for ky, kx in canvas.tiles():
        canvas.add(ky, kx, np.ones((1, 32, 32)))
        done = [(first, rows.shape[1]) for first, rows in canvas.finished()]
        assert bool(done) == (kx == grid.x.count - 1)
        if done and ky + 1 < grid.y.count:
            assert sum(done[0]) == grid.y.seam(ky + 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_sums_are_float32_whatever_the_result(dtype: type) -> None:
    grid = plane_grid(40, 40, tile=32, halo=4, blend=8, alignment=8)
    canvas = Canvas(grid, (0, 40), (0, 40), channels=3)
    for ky, kx in canvas.tiles():
        canvas.add(ky, kx, np.full((3, 32, 32), 0.5, dtype))
        for _, rows in canvas.finished():
            assert rows.dtype == np.float32
            np.testing.assert_allclose(rows, 0.5, rtol=1e-6)


def test_order_shape_and_bounds_are_checked() -> None:
    grid = plane_grid(100, 100, tile=32, halo=4, blend=8, alignment=8)
    canvas = Canvas(grid, (0, 100), (0, 100))
    canvas.add(0, 1, np.ones((1, 32, 32)))
    with pytest.raises(ValueError, match="row-major order"):
        canvas.add(0, 1, np.ones((1, 32, 32)))
    with pytest.raises(ValueError, match=r"the canvas expects \(1, 32, 32\)"):
        canvas.add(0, 2, np.ones((32, 32)))
    with pytest.raises(ValueError, match=r"y range 0\.\.101 is not inside"):
        Canvas(grid, (0, 101), (0, 10))
    with pytest.raises(ValueError, match="no tile touches"):
        source_window(grid, (5, 5), (0, 10))
    with pytest.raises(ValueError, match="use the window of source_window"):
        cut_tile(np.zeros((30, 32)), (0, 0), grid, 0, 0)
    with pytest.raises(ValueError, match="use the window of source_window"):
        cut_tile(np.zeros((32, 32)), (1, 0), grid, 0, 0)
