import os
import pickle
import subprocess
import sys

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.image import Channel
from napari_restore.images.lazy_arrays import MappedArray
from napari_restore.images.readers.opening import open_image


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def test_a_plane_needs_no_axes():
    pixels = np.arange(12).reshape(3, 4)
    image = open_image(pixels)
    assert image.axes == "YX" and image.location is None and image.chunks == (3, 4)
    np.testing.assert_array_equal(whole(image), pixels)


def test_more_dimensions_need_axes():
    with pytest.raises(AxesError, match=r"pass axes="):
        open_image(np.zeros((3, 4, 5)))
    assert open_image(np.zeros((3, 4, 5)), axes="yxs").sizes == {"Y": 3, "X": 4, "S": 5}


@pytest.mark.parametrize("shape", [(), (5,)])
def test_too_few_dimensions(shape):
    with pytest.raises(AxesError):
        open_image(np.zeros(shape))
    with pytest.raises(AxesError):
        open_image(np.zeros(shape), axes="YX"[: len(shape)])


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8", ">u2", ">f4"])
def test_data_types_that_can_be_restored(dtype):
    assert open_image(np.zeros((2, 2), dtype)).dtype == np.dtype(dtype).newbyteorder("=")


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.zeros((2, 2), "?"), "convert a mask"),
        (np.zeros((2, 2), "c8"), "magnitude"),
        (np.zeros((2, 2), "M8[s]"), "data type"),
        (np.zeros((2, 2), object), "data type"),
        (np.zeros((0, 2)), "no pixels"),
        ([1, 2, 3], "does not hold arrays"),
        ([], "does not hold arrays"),
        (3, "neither a path nor an array"),
        (None, "neither a path nor an array"),
    ],
)
def test_what_cannot_be_restored(array, told):
    with pytest.raises(SourceError, match=told):
        open_image(array)


def test_longdouble_is_refused_where_it_is_longer():
    if np.dtype(np.longdouble).itemsize > 8:
        with pytest.raises(SourceError, match="data type"):
            open_image(np.zeros((2, 2), np.longdouble))


def test_paths_that_lead_nowhere(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "empty.tif").touch()
    for name, told in (
        ("missing.tif", "does not exist"),
        ("folder", "no Zarr"),
        ("a.png", "unknown format '.png'"),
        ("empty.tif", "is empty"),
    ):
        with pytest.raises(SourceError, match=told):
            open_image(tmp_path / name)


def test_levels_in_a_list():
    levels = [np.zeros((2, 8, 8)), da.ones((2, 4, 4)), np.zeros((2, 2, 2))]
    image = open_image(levels, axes="CYX", level=1)
    assert image.shape == (2, 4, 4) and whole(image).all()
    with pytest.raises(SourceError, match="the list has 3"):
        open_image(levels, axes="CYX", level=3)


@pytest.mark.parametrize("choice", [{"level": 1}, {"series": 1}])
def test_level_or_series_of_an_array(choice):
    with pytest.raises(SourceError, match="1 is not there"):
        open_image(np.zeros((2, 2)), **choice)


def test_dask_reads_only_the_chunks_of_the_region():
    seen = []

    def block(block_info=None):
        seen.append(block_info[None]["chunk-location"])
        return np.full((1, 16, 16), len(seen))

    lazy = da.map_blocks(block, chunks=((1,) * 4, (16,) * 3, (16, 16, 8)), dtype=int, meta=np.empty((0, 0, 0), int))
    lazy = lazy[:, :, :40]
    seen.clear()
    image = open_image(lazy, axes="ZYX")
    assert image.chunks == (1, 16, 16) and not seen
    image.read((slice(1, 2), slice(0, 5), slice(20, 30)))
    assert seen == [(1, 0, 1)]


def test_dask_of_unknown_length_is_refused():
    lazy = da.ones((4, 4), chunks=2)
    with pytest.raises(SourceError, match="compute_chunk_sizes"):
        open_image(lazy[lazy[:, 0] > 0])


def test_memmap_pickles_by_location(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(100_000.0).reshape(100, 1000))
    image = open_image(np.load(tmp_path / "a.npy", mmap_mode="r"))
    assert isinstance(image.data, MappedArray) and image.location == str(tmp_path / "a.npy")
    parcel = pickle.dumps(image)
    assert len(parcel) < 2000
    np.testing.assert_array_equal(whole(pickle.loads(parcel)), np.load(tmp_path / "a.npy"))


def test_memmap_that_is_changed_in_memory_only_pickles_by_value(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    changed = np.load(tmp_path / "a.npy", mmap_mode="c")
    changed[0, 0] = 7
    assert whole(pickle.loads(pickle.dumps(open_image(changed))))[0, 0] == 7


@pytest.mark.parametrize("lazy", [False, True])
def test_xarray(lazy):
    pixels = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    array = xr.DataArray(
        da.from_array(pixels, chunks=(1, 3, 2)) if lazy else pixels,
        dims=("channel", "y", "x"),
        coords={"channel": ["a", "b"], "y": ("y", [1.0, 1.5, 2.0], {"units": "um"}), "x": [0.0, 1.0, 3.0, 4.0]},
        name="cells",
    )
    image = open_image(array)
    assert (image.axes, image.name, image.channels) == ("CYX", "cells", (Channel("a"), Channel("b")))
    assert image.pixel_size == {"Y": 0.5} and image.origin == {"Y": 1.0} and image.units == {"Y": "micrometer"}
    assert image.chunks == ((1, 3, 2) if lazy else (2, 3, 4))
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(one.read((slice(1, 2), slice(1, 3), slice(0, 2))), pixels[1:2, 1:3, 0:2])


def test_xarray_with_other_dimensions_asks_for_axes():
    array = xr.DataArray(np.zeros((2, 3, 4)), dims=("plane", "y", "x"))
    with pytest.raises(AxesError, match="plane"):
        open_image(array)
    assert open_image(array, axes="ZYX").axes == "ZYX"


def test_import_is_quick_and_loads_no_reader():
    script = (
        "import sys; import napari_restore.images.readers.opening; "
        "print(sorted({'tifffile', 'zarr', 'xarray', 'torch', 'napari', 'qtpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"
