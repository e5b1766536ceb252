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

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.image import Channel
from napari_restore.images.lazy_arrays import RawArray
from napari_restore.images.opening import open_image
from napari_restore.images.readers.tiff.array import TiffArray


def volume(*shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, shape).astype(dtype)


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def region_sum(image):
    """Read a small region; at module level, for other processes."""
    return int(image.read(tuple(slice(n // 3, n // 3 + 5) for n in image.shape)).sum())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.tif"


# Each writes a file and returns the pixels, the axes expected and the kind of array expected.


def ome_tiled(path):
    pixels = volume(2, 3, 4, 70, 90)
    channels = {"Name": ["DAPI", "GFP", "mCherry"], "Color": [-1, 0x00FF00FF, -16776961]}
    metadata = {
        "axes": "TCZYX",
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 110,
        "PhysicalSizeYUnit": "nm",
        "PhysicalSizeZ": 0.5,
        "TimeIncrement": 2.5,
        "TimeIncrementUnit": "min",
        "Channel": channels,
    }
    tifffile.imwrite(path, pixels, ome=True, tile=(32, 32), compression="zlib", metadata=metadata)
    return pixels, "TCZYX", TiffArray


def ome_plain(path):
    pixels = volume(3, 40, 50)
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "ZYX", "PhysicalSizeX": 0.2})
    return pixels, "ZYX", RawArray


def imagej(path):
    pixels = volume(2, 3, 4, 40, 50)
    tifffile.imwrite(
        path,
        pixels,
        imagej=True,
        resolution=(10, 5),
        metadata={"axes": "TZCYX", "spacing": 0.7, "unit": "um", "finterval": 3.0, "Ranges": (0.0, 9.0) * 4},
    )
    return pixels, "TZCYX", RawArray


def bigtiff(path):
    pixels = volume(3, 40, 50, dtype="f4")
    tifffile.imwrite(path, pixels, bigtiff=True, photometric="minisblack", metadata={"axes": "ZYX"})
    return pixels, "ZYX", RawArray


def rgb(path):
    pixels = volume(40, 50, 3, dtype="u1")
    tifffile.imwrite(path, pixels, photometric="rgb", compression="zlib", rowsperstrip=7)
    return pixels, "YXS", TiffArray


def rgb_planar(path):
    pixels = volume(3, 40, 50, dtype="u1")
    tifffile.imwrite(path, pixels, photometric="rgb", planarconfig="separate")
    return pixels, "SYX", RawArray


def big_endian(path):
    pixels = volume(3, 40, 50, dtype="i4")
    tifffile.imwrite(path, pixels, byteorder=">", photometric="minisblack", metadata={"axes": "ZYX"})
    return pixels, "ZYX", RawArray


def big_endian_compressed(path):
    pixels = volume(3, 40, 50, dtype="f8")
    more = {"photometric": "minisblack", "metadata": {"axes": "ZYX"}}
    tifffile.imwrite(path, pixels, byteorder=">", compression="zlib", **more)
    return pixels, "ZYX", TiffArray


def predicted(path):
    pixels = volume(40, 50)
    tifffile.imwrite(path, pixels, compression="lzw", predictor=True, tile=(16, 32))
    return pixels, "YX", TiffArray


def strips_of_one_row(path):
    pixels = volume(4, 40, 50)
    with tifffile.TiffWriter(path, byteorder=">") as tiff:
        for plane in pixels:
            xml = tifffile.OmeXml()
            xml.addimage("uint16", pixels.shape, (4, 1, 1, 40, 50, 1), axes="ZYX")
            tiff.write(plane, description=xml.tostring(), metadata=None, rowsperstrip=1, contiguous=False)
    return pixels, "ZYX", TiffArray


KINDS = [
    strips_of_one_row,
    ome_tiled,
    ome_plain,
    imagej,
    bigtiff,
    rgb,
    rgb_planar,
    big_endian,
    big_endian_compressed,
    predicted,
]


@pytest.mark.parametrize("write", KINDS)
def test_pixels_and_axes(path, write):
    pixels, axes, kind = write(path)
    image = open_image(path)
    assert image.axes == axes
    assert isinstance(image.data, kind)
    assert image.location == str(path) and image.name == "image.tif"
    expected = pixels.transpose([axes.index(a) for a in image.canonical])
    np.testing.assert_array_equal(whole(image), expected)
    assert image.dtype == pixels.dtype and image.dtype.isnative
    part = tuple(slice(n // 3, n // 3 + 1 + n // 8) for n in image.shape)
    np.testing.assert_array_equal(image.read(part), expected[part])
    assert all(0 < chunk <= n + 31 for chunk, n in zip(image.chunks, image.shape, strict=True))


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


def test_ome_scale_units_and_channels(path):
    ome_tiled(path)
    image = open_image(path)
    assert image.pixel_size == {"T": 2.5, "Z": 0.5, "Y": 110.0, "X": 0.1}
    assert image.units == {"T": "minute", "Z": "micrometer", "Y": "nanometer", "X": "micrometer"}
    assert image.channels == (Channel("DAPI", "FFFFFF"), Channel("GFP", "00FF00"), Channel("mCherry", "FF0000"))
    assert image.chunks == (1, 1, 1, 32, 32)


def test_imagej_scale_units_and_limits(path):
    imagej(path)
    image = open_image(path)
    assert image.canonical == "TCZYX"
    assert image.pixel_size == {"T": 3.0, "Z": 0.7, "Y": 0.2, "X": 0.1}
    assert image.units == {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
    assert image.channels == (Channel(window=(0.0, 9.0)),) * 4
    assert image.chunks == (1, 1, 1, 40, 50)


def test_name_of_the_only_channel_is_kept_without_c(path):
    tifffile.imwrite(path, volume(5, 6), ome=True, metadata={"axes": "YX", "Channel": {"Name": ["DAPI"]}})
    assert open_image(path).channels == (Channel("DAPI"),)


def test_resolution_in_dpi_is_not_a_pixel_size(path):
    tifffile.imwrite(path, volume(5, 6), resolution=(72, 72), resolutionunit="inch")
    assert open_image(path).pixel_size == {}


def test_series_of_a_file(path):
    first, second = volume(3, 20, 30), volume(2, 40, 50)
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(first, metadata={"axes": "ZYX", "PhysicalSizeX": 1.5})
        tiff.write(second, metadata={"axes": "CYX", "PhysicalSizeX": 2.5, "Channel": {"Name": ["a", "b"]}})
    image = open_image(path, series=1)
    np.testing.assert_array_equal(whole(image), second)
    assert image.pixel_size == {"X": 2.5} and [c.name for c in image.channels] == ["a", "b"]
    assert open_image(path).pixel_size == {"X": 1.5}
    with pytest.raises(SourceError, match=r"series 2 .* it has 2"):
        open_image(path, series=2)


def test_axes_unknown_to_the_file_are_asked_for(path):
    pixels = volume(4, 20, 30)
    with tifffile.TiffWriter(path) as tiff:
        for plane in pixels:
            tiff.write(plane, metadata=None, compression="zlib", contiguous=False)
    with pytest.raises(AxesError, match="pass axes="):
        open_image(path)
    image = open_image(path, axes="tyx")
    assert image.axes == "TYX"
    np.testing.assert_array_equal(whole(image), pixels)


def test_axes_of_the_user_win(path):
    ome_plain(path)
    image = open_image(path, axes="TYX")
    assert image.sizes == {"T": 3, "Y": 40, "X": 50} and image.pixel_size == {"X": 0.2}
    with pytest.raises(AxesError, match="4 letters"):
        open_image(path, axes="TZYX")


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


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "empty"), (b"II*\0", "cannot be opened"), (b"II*\0" + b"\xff" * 50, "."), (b"hello world", "its content")],
)
def test_what_is_no_tiff_is_refused(path, content, told):
    path.write_bytes(content)
    with pytest.raises(SourceError, match=told):
        open_image(path)


@pytest.mark.parametrize("dtype", ["c8", "?"])
def test_data_types_that_cannot_be_restored(path, dtype):
    tifffile.imwrite(path, np.zeros((4, 5), dtype))
    with pytest.raises(SourceError, match="data type"):
        open_image(path)


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
