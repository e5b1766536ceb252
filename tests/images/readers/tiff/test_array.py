"""Reading pixels: from other processes and threads, of damaged files, and no more than is needed."""

import multiprocessing
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from tiff_kinds import (
    KINDS,
    bigtiff,
    imagej,
    ome_tiled,
    strips_of_one_row,
    whole,
)

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.lazy_arrays import RawArray
from napari_restore.images.opening import open_image


def region_sum(image):
    """Read a small region; at module level, for other processes."""
    return int(image.read(tuple(slice(n // 3, n // 3 + 5) for n in image.shape)).sum())


@pytest.mark.parametrize("write", KINDS)
def test_pickles_by_location(path, write):
    write(path)
    image = open_image(path)
    parcel = pickle.dumps(image)
    assert len(parcel) < 2000
    np.testing.assert_array_equal(whole(pickle.loads(parcel)), whole(image))


def test_spawned_process_reads(path, tmp_path):
    ome_tiled(path)
    bigtiff(tmp_path / "big.tif")
    images = [open_image(path), open_image(tmp_path / "big.tif")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(region_sum, images) == [region_sum(image) for image in images]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_opens_the_file_for_itself(path):
    """Parent and child would move the position of one shared file handle."""
    ome_tiled(path)
    script = (
        "import os, sys\n"
        "from napari_restore.images.opening import open_image\n"
        "image = open_image(sys.argv[1])\n"
        "whole = lambda: image.read((slice(None),) * 5).tobytes()\n"
        "expected, child = whole(), os.fork()\n"
        "good = all(whole() == expected for _ in range(20))\n"
        "if child == 0: os._exit(0 if good else 1)\n"
        "sys.exit(0 if good and os.waitpid(child, 0)[1] == 0 else 1)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True, env={**os.environ, "PYTHONPATH": os.getcwd()})


@pytest.mark.parametrize("write", [ome_tiled, imagej])
def test_threads_read_at_once(path, write):
    pixels, axes, _ = write(path)
    image = open_image(path)
    expected = pixels.transpose([axes.index(a) for a in image.canonical])
    rng = np.random.default_rng(0)
    regions = [
        tuple(slice(a := int(rng.integers(0, n)), int(rng.integers(a, n)) + 1) for n in image.shape) for _ in range(60)
    ]
    with ThreadPoolExecutor(8) as pool:
        for region, got in zip(regions, pool.map(image.read, regions), strict=True):
            np.testing.assert_array_equal(got, expected[region])


@pytest.mark.parametrize("write", KINDS)
@pytest.mark.parametrize("part", [0.3, 0.7, 0.97])
def test_truncated_file_is_refused(path, write, part):
    pixels, *_ = write(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    if (write, part) == (imagej, 0.97):  # what is cut off here is a directory that ImageJ does without
        np.testing.assert_array_equal(whole(open_image(path)), pixels.swapaxes(1, 2))
    else:
        with pytest.raises(SourceError, match=r"image\.tif"):
            open_image(path)


def test_file_truncated_after_opening_names_page_or_region(path):
    for write, told in ((ome_tiled, r"page \d+|chunk \("), (imagej, r"region .* of plane \(1, 2, [0-3]\)")):
        write(path)
        image = open_image(path)
        content = path.read_bytes()
        os.truncate(path, len(content) // 2 if write is ome_tiled else int(len(content) * 0.9))
        with pytest.raises(ChunkError, match=told) as caught:
            whole(image)
        assert str(path) in str(caught.value)


def test_uncompressed_pages_of_many_strips_are_read_by_the_page(path):
    strips_of_one_row(path)
    image = open_image(path)
    assert image.chunks == (1, 40, 50)
    whole(image)
    assert all(isinstance(page, RawArray) for page in image.data._known.values()) and len(image.data._known) == 4


def test_damaged_tile_is_named(path):
    ome_tiled(path)
    image = open_image(path)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[5]
        offset, count = page.dataoffsets[4], page.databytecounts[4]
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * count)
    undamaged = (slice(None), slice(None), slice(None), slice(0, 32), slice(None))
    image.read(undamaged)
    with pytest.raises(ChunkError, match=r"image\.tif: chunk \(0, 1, 1, 1, 1\)"):
        whole(image)


@pytest.mark.parametrize("layout", [{}, {"tile": (256, 256), "compression": "zstd"}, {"rowsperstrip": 64}])
def test_a_small_region_of_a_large_file_does_not_read_it_all(path, layout):
    pages, side = 25, 2000  # 200 MB
    plane = np.arange(side * side, dtype="u2").reshape(side, side)
    stack = np.broadcast_to(plane, (pages, side, side))
    tifffile.imwrite(path, stack, metadata={"axes": "ZYX"}, **layout)
    tracemalloc.start()
    image = open_image(path)
    got = image.read((slice(20, 21), slice(100, 150), slice(1000, 1050)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(got[0], plane[100:150, 1000:1050])
    assert peak < 8e6
