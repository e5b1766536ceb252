from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr

from napari_restore import api
from napari_restore.engine.planning.blocks import tile_share, times_read
from napari_restore.images.image import Image
from napari_restore.images.opening import open_image
from napari_restore.tiling.grid import plane_grid

GRID = plane_grid(1000, 700, tile=128, halo=8, blend=16, alignment=8)


class Counted:
    """An array in chunks that counts the pixels of all chunks that are read."""

    def __init__(self, shape: tuple[int, ...], chunks: tuple[int, ...]) -> None:
        self.shape, self.dtype, self.step, self.pixels = shape, np.dtype(np.uint16), chunks, 0

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        spans = [
            min(-(-s.stop // c) * c, n) - s.start // c * c
            for s, c, n in zip(region, self.step, self.shape, strict=True)
        ]
        self.pixels += int(np.prod(spans))
        return np.zeros([s.stop - s.start for s in region], np.uint16)


@pytest.mark.parametrize("chunks", [(1, 256, 256), (8, 128, 96), (5, 1000, 700), (20, 64, 64)])
@pytest.mark.parametrize("block", [(1, 1024, 704), (4, 256, 256), (8, 384, 96)])
def test_bytes_read_are_foretold(chunks: tuple[int, ...], block: tuple[int, ...], checkpoints: dict[str, Path]) -> None:
    shape = (20, 1000, 700)
    source = Counted(shape, chunks)
    image = Image(source, "ZYX", chunks=chunks)
    sizes, blocks = dict(zip("ZYX", shape, strict=True)), dict(zip("ZYX", block, strict=True))
    from napari_restore.tiling.blend import source_window

    for z in range(0, 20, block[0]):
        for y in range(0, 1000, block[1]):
            for x in range(0, 700, block[2]):
                y0, y1, x0, x1 = source_window(GRID, (y, min(y + block[1], 1000)), (x, min(x + block[2], 700)))
                image.read((slice(z, min(z + block[0], 20)), slice(y0, y1), slice(x0, x1)))
    # Along Z the count is the mean over many blocks, of which there are a few here.
    assert times_read(image, GRID, blocks, sizes, 1) == pytest.approx(source.pixels / np.prod(shape), rel=0.25)


def test_tiles_of_all_blocks_are_counted() -> None:
    size = {"Y": 1000, "X": 700}
    assert tile_share(GRID, size, size, 1) == pytest.approx(GRID.count * 128**2 / 700_000)
    small = {"Y": 250, "X": 700}
    rows = sum(len(GRID.y.touching(low, low + 250)) for low in range(0, 1000, 250))
    assert tile_share(GRID, small, size, 1) == pytest.approx(rows * GRID.x.count * 128**2 / 700_000)
    doubled = {"Y": 2000, "X": 1400}
    assert tile_share(GRID, doubled, doubled, 2) == tile_share(GRID, size, size, 1)


def plan_of(source: Any, model: Path, **settings: Any) -> Any:
    known: Any = {"value_range": (0, 1), "valid_range": "all", "fill_values": "none", "neighbours": "none"}
    return api.plan(source, model=model, axes="ZYX", **known, **settings)


def test_blocks_follow_the_planes_or_the_cubes_of_a_source(checkpoints: dict[str, Path]) -> None:
    planes = plan_of(da.zeros((64, 8192, 8192), chunks=(1, 512, 512), dtype=np.uint16), checkpoints["denoiser"])
    assert planes.recipe.chunks == (1, 512, 512) and planes.block[0] == 1 and min(planes.block[1:]) >= 2048
    cubes = plan_of(da.zeros((640, 2048, 2048), chunks=(64, 128, 128), dtype=np.uint16), checkpoints["denoiser"])
    assert cubes.recipe.chunks == (64, 128, 128), "good for a viewer, so kept"
    assert cubes.block[0] % 64 == 0 and cubes.read_share < 3
    assert "the source's chunks" in str(cubes) and "times the pixels" in str(cubes)


def test_what_can_be_read_anywhere_has_no_chunks(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    pixels = np.ones((3, 600, 700), np.uint16)  # zarr does not store chunks of zeros alone
    plan = plan_of(pixels, checkpoints["denoiser"])
    assert plan.recipe.chunks == (1, 512, 512) and plan.read_share == pytest.approx(1.0)
    zarr.create_array(tmp_path / "a.zarr", data=pixels, chunks=(3, 600, 700))
    stored = plan_of(tmp_path / "a.zarr", checkpoints["denoiser"])
    assert stored.read_share == pytest.approx(3 / stored.block[0])
    assert open_image(pixels, axes="ZYX").chunks == (3, 600, 700)


def test_the_layout_is_chosen_in_no_time(checkpoints: dict[str, Path]) -> None:
    volume = da.zeros((1000, 1_000_000, 1_000_000), chunks=(10, 5_000, 5_000), dtype=np.uint8)
    plan_of(volume, checkpoints["denoiser"])
    began = time.process_time()
    plan = plan_of(volume, checkpoints["upscaler"])
    assert time.process_time() - began < 3
    assert plan.blocks > 1e5 and next(iter(plan.indices())) == (0, 0, 0)


def test_blocks_go_in_squares(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    plan = plan_of(stack, checkpoints["denoiser"], chunks=(1, 16, 16), shards=(1, 16, 16))
    order = list(plan.indices())
    assert sorted(order) == sorted(np.ndindex(plan.counts)) and plan.counts == (3, 5, 7)
    assert order[:8] == [(0, *p) for p in ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3))]
    assert [index[0] for index in order] == sorted(index[0] for index in order)


def test_a_plane_of_absurd_size_is_laid_out_by_arithmetic() -> None:
    """Of very many blocks along an axis, the first ones tell: the sums are what they are for blocks one by one."""
    side = 1_000_003
    grid = plane_grid(64, side, tile=128, halo=8, blend=16, alignment=8)
    block = {"Y": 64, "X": 256}
    looked_at = tile_share(grid, block, {"Y": 64, "X": side}, 1)
    one_by_one = sum(len(grid.x.touching(low, min(low + 256, side))) for low in range(0, side, 256))
    assert looked_at == pytest.approx(one_by_one * np.prod(grid.tile_shape) / (64 * side), rel=1e-3)
    endless = plane_grid(2**33, 2**40, tile=128, halo=8, blend=16, alignment=8)
    began = time.process_time()
    assert 1 < tile_share(endless, block, {"Y": 2**33, "X": 2**40}, 1) < 10
    assert time.process_time() - began < 2
