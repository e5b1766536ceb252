from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
import pytest
import tifffile

from napari_restore import api

SETTINGS: dict[str, Any] = {
    "axes": "ZYX", "tile": 32, "halo": 4, "blend": 8, "chunks": (1, 32, 64), "shards": (1, 32, 64),
}  # fmt: skip


class Counted:
    """An array that says which of its parts were read."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.shape, self.dtype, self.ndim = pixels, pixels.shape, pixels.dtype, pixels.ndim
        self.read: list[tuple[int, ...]] = []
        self._lock = threading.Lock()

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        with self._lock:
            self.read.append(tuple(part.start or 0 for part in region))
        return np.asarray(self.pixels[region])

    def lazy(self, chunks: tuple[int, ...]) -> da.Array:
        return da.from_array(self, chunks=chunks, asarray=False, meta=np.empty((0,) * self.ndim, self.dtype))


@pytest.fixture
def counted(stack: np.ndarray) -> Counted:
    return Counted(stack)


@pytest.mark.parametrize(("model", "scale"), [("denoiser", 1), ("upscaler", 2)])
def test_nothing_is_read_to_make_it(checkpoints: dict[str, Path], counted: Counted, model: str, scale: int) -> None:
    lazy = api.restore(counted.lazy((1, 16, 16)), model=checkpoints[model], **SETTINGS)
    assert isinstance(lazy, da.Array) and counted.read == []
    assert lazy.shape == (3, 75 * scale, 110 * scale) and lazy.dtype == np.uint16 and lazy._meta.dtype == np.uint16
    rows = {1: (32, 32, 11), 2: (32, 32, 32, 32, 22)}[scale]
    columns = {1: (64, 46), 2: (64, 64, 64, 28)}[scale]
    assert lazy.chunks == ((1, 1, 1), rows, columns)
    assert len(lazy.dask) == lazy.npartitions + 1  # a task for each block, and one for the value range


def test_a_chunk_reads_its_own_surroundings_alone(checkpoints: dict[str, Path], counted: Counted) -> None:
    values = {"value_range": (0, 2000), "valid_range": "all", "fill_values": "none"}  # nothing to be estimated
    lazy = api.denoise(counted.lazy((1, 16, 16)), model=checkpoints["denoiser"], **values, **SETTINGS)
    block = lazy[1, :32, :64].compute(scheduler="synchronous")
    assert block.shape == (32, 64)
    assert {z for z, _, _ in counted.read} == {1}
    assert len(counted.read) == len(set(counted.read))
    # Tiles begin at multiples of 16 and weigh from 4 to 28 pixels on: those that touch rows 0..31 end at row 64 at
    # most, those that touch columns 0..63 end at column 96.
    assert max(y for _, y, _ in counted.read) < 64 and max(x for _, _, x in counted.read) < 96


def test_the_value_range_is_estimated_once(checkpoints: dict[str, Path], counted: Counted) -> None:
    whole = (3, 75, 110)
    lazy = api.denoise(counted.lazy(whole), model=checkpoints["denoiser"], **SETTINGS)
    lazy.compute(scheduler="synchronous")
    # Each block reads one plane, as does each of the three planes of the sample, and dask reads whole chunks.
    assert len(counted.read) == 3 + lazy.npartitions


def test_chunks_equal_the_array_in_memory(checkpoints: dict[str, Path], stack: np.ndarray) -> None:
    expected = api.denoise(stack, model=checkpoints["denoiser"], **SETTINGS)
    lazy = api.denoise(da.from_array(stack, chunks=(2, 40, 50)), model=checkpoints["denoiser"], **SETTINGS)
    with dask.config.set(scheduler="synchronous"):
        for index in np.ndindex(lazy.numblocks):
            corner = [sum(sizes[:i]) for sizes, i in zip(lazy.chunks, index, strict=True)]
            part = lazy.blocks[index].compute()
            where = tuple(slice(start, start + size) for start, size in zip(corner, part.shape, strict=True))
            np.testing.assert_array_equal(part, expected[where])


def test_it_travels_as_a_few_bytes(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, stack, photometric="minisblack")
    lazy = api.denoise(path, model=checkpoints["denoiser"], **SETTINGS)
    sent = cloudpickle.dumps(lazy)
    assert len(sent) < 2e4 < stack.nbytes
    expected = api.denoise(stack, model=checkpoints["denoiser"], **SETTINGS)
    np.testing.assert_array_equal(cloudpickle.loads(sent)[2].compute(scheduler="synchronous"), expected[2])
