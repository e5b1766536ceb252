import pickle

import dask
import dask.array as da
import numpy as np
import pytest
import zarr

from napari_restore.errors import AxesError, ChunkError
from napari_restore.images.image import Channel, Image


def test_read_returns_canonical_order_for_any_user_order():
    pixels = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    image = Image(pixels, "XYCT")
    assert image.canonical == "TCYX"
    assert image.shape == (5, 4, 3, 2)
    assert image.sizes == {"T": 5, "C": 4, "Y": 3, "X": 2}
    got = image.read((slice(1, 3), slice(0, 2), slice(None), slice(1, 2)))
    np.testing.assert_array_equal(got, pixels.transpose(3, 2, 1, 0)[1:3, 0:2, :, 1:2])


def test_read_returns_a_copy_of_native_byte_order():
    pixels = np.arange(6, dtype=">u2").reshape(2, 3)
    pixels.setflags(write=False)
    got = Image(pixels, "YX").read((slice(None), slice(0, 2)))
    assert got.dtype == np.dtype("u2") and got.dtype.isnative
    assert got.flags.c_contiguous and got.flags.writeable and not np.shares_memory(got, pixels)
    np.testing.assert_array_equal(got, [[0, 1], [3, 4]])


@pytest.mark.parametrize("region", [(slice(None),), (slice(0, 4, 2), slice(None)), (0, slice(None))])
def test_read_refuses_what_is_not_a_region(region):
    with pytest.raises(ValueError, match="one slice of step 1"):
        Image(np.zeros((4, 4)), "YX").read(region)


def test_failure_of_a_lazy_array_names_image_and_region():
    def fail(block):
        raise OSError("disk on fire")

    lazy = da.zeros((4, 4), chunks=2).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ChunkError, match=r"slices: region Y 0:2, X 2:4 .*disk on fire"):
        Image(lazy, "YX", name="slices").read((slice(0, 2), slice(2, 4)))


def test_dask_is_computed_in_the_calling_thread(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the default scheduler was used")

    with dask.config.set(scheduler=refuse):
        got = Image(da.ones((4, 4), chunks=2), "YX").read((slice(None), slice(None)))
    assert got.sum() == 16


def test_channels_must_fit():
    two = (Channel("a"), Channel("b"))
    assert Image(np.zeros((2, 4, 4)), "CYX", channels=two).channels == two
    assert Image(np.zeros((4, 4)), "YX", channels=two[:1]).channels == two[:1]
    with pytest.raises(AxesError, match="2 channels"):
        Image(np.zeros((3, 4, 4)), "CYX", channels=two)


def test_nbytes_does_not_overflow():
    lazy = da.zeros((10**6, 10**6, 10**6, 10**6), chunks=10**6, dtype="u1")
    assert Image(lazy, "TZYX").nbytes == 10**24


def test_image_in_memory_pickles_with_its_pixels():
    image = Image(np.arange(6.0).reshape(2, 3), "YX", pixel_size={"Y": 0.5})
    again = pickle.loads(pickle.dumps(image))
    np.testing.assert_array_equal(again.data, image.data)
    assert again.pixel_size == {"Y": 0.5} and again.axes == "YX"


def test_a_notebook_shows_axes_sizes_and_a_picture():
    pixels = np.random.default_rng(0).integers(0, 99, (3, 2, 40, 50)).astype("u2")
    image = Image(
        pixels, "ZCYX", name="<b>cells</b>", pixel_size={"Z": 2.0, "X": 0.5}, units={"X": "micrometer"},
        channels=(Channel("DAPI", "0000FF"), Channel("<i>")), notes=("a < b",),
    )  # fmt: skip
    shown = image._repr_html_()
    assert "&lt;b&gt;cells&lt;/b&gt;" in shown and "<b>" not in shown and "<i>" not in shown and "a &lt; b" in shown
    assert "<td>2</td>" in shown and "micrometer" in shown and "data:image/png;base64," in shown


def test_a_notebook_shows_an_image_that_cannot_be_read():
    class Broken:
        shape, dtype = (40, 50), np.dtype("u2")

        def __getitem__(self, region):
            raise OSError("the disk was pulled out")

    shown = Image(Broken(), "YX")._repr_html_()
    assert "no picture" in shown and "pulled out" in shown and "uint16" in shown


@pytest.mark.parametrize("name", ["longlong", "ulonglong", "long", "ulong", ">u8", ">f4"])
def test_a_data_type_has_one_name(tmp_path, name):
    """Of two C types with 64 bits, NumPy calls one by another letter, which Zarr does not store."""
    image = Image(np.arange(24, dtype=name).reshape(4, 6), "YX")
    assert image.dtype.char in "LlfQq" and image.dtype == np.dtype(name).newbyteorder("=")
    zarr.create_array(tmp_path / "a.zarr", shape=image.shape, dtype=image.dtype)
    assert image.read((slice(None),) * 2).dtype.char == image.dtype.char
