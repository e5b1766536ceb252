import h5py
import numpy as np
import pytest
import xarray
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_restore.errors import AxesError
from napari_restore.images.axes import CANONICAL, canonical_axes, check_axes, letter_of, transposition
from napari_restore.images.opening import open_image

orders = st.permutations(CANONICAL).flatmap(lambda p: st.integers(1, 6).map(lambda n: "".join(p[:n])))


def test_letters_are_upper_cased():
    assert check_axes("zyx", (3, 4, 5)) == "ZYX"


@pytest.mark.parametrize(
    ("axes", "shape", "told"),
    [
        ("QYX", (1, 2, 3), "'Q'"),
        ("YYX", (1, 2, 3), "'Y' twice"),
        ("ZYX", (2, 3), "3 letters"),
        ("ZX", (2, 3), "lacks Y"),
        ("TC", (2, 3), "lacks Y or X"),
        (("Y", "X"), (2, 3), "not a string"),
    ],
)
def test_bad_axes_are_told(axes, shape, told):
    with pytest.raises(AxesError, match=told):
        check_axes(axes, shape)


@given(orders)
def test_transposition_brings_sizes_into_order(axes):
    sizes = {letter: n + 2 for n, letter in enumerate(CANONICAL)}
    array = np.empty([sizes[a] for a in axes])
    canonical = canonical_axes(axes)
    assert array.transpose(transposition(axes, canonical)).shape == tuple(sizes[a] for a in canonical)


@given(orders)
def test_transposition_there_and_back_is_identity(axes):
    canonical = canonical_axes(axes)
    there, back = transposition(axes, canonical), transposition(canonical, axes)
    assert [there[i] for i in back] == list(range(len(axes)))


def test_transposition_of_other_letters_fails():
    with pytest.raises(AxesError, match="same"):
        transposition("ZYX", "CYX")


def test_names_of_axes_are_the_same_in_every_source(tmp_path):
    names = {"time": "T", "ch": "C", "channels": "C", "depth": "Z", "Y": "Y", "x": "X"}
    assert [letter_of(name) for name in names] == list(names.values())
    assert [letter_of(name) for name in ("dim_0", "", None)] == [None] * 3
    pixels = np.ones((1, 2, 3, 4, 5), "u1")
    for channel in ("ch", "channels"):
        given = ("time", channel, "depth", "y", "x")
        array = zarr.create_array(tmp_path / channel, data=pixels, dimension_names=given)
        with h5py.File(tmp_path / f"{channel}.h5", "w") as file:
            dataset = file.create_dataset("data", data=pixels)
            for dimension, name in zip(dataset.dims, given, strict=True):
                dimension.label = name
        for source in (array, tmp_path / f"{channel}.h5", xarray.DataArray(pixels, dims=given)):
            assert open_image(source).axes == "TCZYX"
