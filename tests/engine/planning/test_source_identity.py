from __future__ import annotations

import numpy as np
import pytest

from napari_restore import retrying
from napari_restore.engine.planning.source_identity import CROPS, SIDE, crop_digests, differing_crops
from napari_restore.images.image import Image


class Counting:
    """An array that counts what is read of it; planes from `broken` on cannot be read."""

    def __init__(self, pixels: np.ndarray, broken: int = 1000) -> None:
        self.pixels, self.broken = pixels, broken
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.reads, self.read = 0, 0

    def __getitem__(self, region: tuple[slice, ...]) -> np.ndarray:
        self.reads += 1
        if region[0].start >= self.broken:
            raise OSError("gone")
        self.read += self.pixels[region].size
        return self.pixels[region]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 60_000, (20, 300, 400), np.uint16)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "sleep", lambda seconds: None)


def test_pixels_count_and_neither_name_nor_chunks_nor_order(pixels: np.ndarray) -> None:
    known = crop_digests(Image(pixels, "ZYX", name="a"))
    assert len(known) == CROPS
    moved = Image(pixels.astype(">u2"), "ZYX", name="b", location="/elsewhere.tif", chunks=(1, 100, 100))
    assert crop_digests(moved) == known
    assert crop_digests(Image(pixels.transpose(2, 0, 1), "XZY")) == known
    assert differing_crops(known, crop_digests(Image(pixels + np.uint16(1), "ZYX"))) == list(known)


def test_a_handful_of_small_reads(pixels: np.ndarray) -> None:
    counting = Counting(pixels)
    crop_digests(Image(counting, "ZYX"))
    assert (counting.reads, counting.read) == (CROPS, CROPS * SIDE**2)


@pytest.mark.parametrize(
    ("axes", "shape", "count"),
    [("YX", (9, 7), 1), ("ZYX", (3, 9, 7), 3), ("YXS", (200, 300, 3), CROPS), ("TCZYX", (1, 2, 1, 200, 300), CROPS)],
)
def test_images_of_all_kinds(axes: str, shape: tuple[int, ...], count: int) -> None:
    assert len(crop_digests(Image(np.zeros(shape, np.float32), axes))) == count


def test_what_cannot_be_read_is_not_compared(pixels: np.ndarray) -> None:
    known, damaged = crop_digests(Image(pixels, "ZYX")), crop_digests(Image(Counting(pixels, broken=18), "ZYX"))
    assert len(damaged) == CROPS - 1
    assert not differing_crops(known, damaged) and not differing_crops(damaged, known)


def test_a_source_out_of_reach_is_not_asked_for_long(pixels: np.ndarray) -> None:
    gone = Counting(pixels, broken=0)
    assert crop_digests(Image(gone, "ZYX")) == {} and gone.reads == 2 * 4
