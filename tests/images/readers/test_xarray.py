import pickle

import dask.array as da
import numpy as np
import pytest
import xarray as xr

from napari_restore.errors import AxesError, SourceError
from napari_restore.images.image import Channel
from napari_restore.images.opening import open_image


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
    assert len(image.notes) == 1 and "'x'" in image.notes[0]
    assert image.chunks == ((1, 3, 2) if lazy else (2, 3, 4))
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(one.read((slice(1, 2), slice(1, 3), slice(0, 2))), pixels[1:2, 1:3, 0:2])


def test_xarray_with_other_dimensions_asks_for_axes():
    array = xr.DataArray(np.zeros((2, 3, 4)), dims=("plane", "y", "x"))
    with pytest.raises(AxesError, match="plane"):
        open_image(array)
    assert open_image(array, axes="ZYX").axes == "ZYX"


def along(dim, coordinate, attrs=None):
    """An image with one coordinate."""
    coordinate = np.asarray(coordinate)
    shape = {"t": 1, "y": 4, "x": 4} | {dim: len(coordinate)}
    return xr.DataArray(np.zeros(list(shape.values())), dims=tuple(shape), coords={dim: (dim, coordinate, attrs or {})})


@pytest.mark.parametrize(
    ("dim", "coordinate", "size", "start"),
    [("y", [3.0, 2.5, 2.0], -0.5, 3.0), ("x", [-1, -3, -5, -7], -2.0, -1.0), ("t", [0.5, 0.25], -0.25, 0.5)],
)
def test_falling_coordinates_keep_their_sign(dim, coordinate, size, start):
    image = open_image(along(dim, coordinate, {"units": "um"}))
    assert image.pixel_size == {dim.upper(): size} and image.origin == {dim.upper(): start}
    assert image.units == {dim.upper(): "micrometer"} and not image.notes


@pytest.mark.parametrize("unit", ["ns", "ms", "s"])
@pytest.mark.parametrize("step", [5, -5])
def test_spans_of_time_are_seconds(unit, step):
    spans = (np.arange(3) * step * np.timedelta64(1, "s") + np.timedelta64(60, "s")).astype(f"timedelta64[{unit}]")
    image = open_image(along("t", spans))
    assert (image.pixel_size, image.origin, image.units) == ({"T": step}, {"T": 60.0}, {"T": "second"})


def test_dates_count_from_the_first_and_say_so():
    dates = np.datetime64("2024-05-01T12:00:00", "ns") + np.arange(3) * np.timedelta64(90, "s")
    image = open_image(along("t", dates))
    assert (image.pixel_size, image.origin, image.units) == ({"T": 90.0}, {"T": 0.0}, {"T": "second"})
    assert "2024-05-01T12:00:00" in image.notes[0]


def test_jitter_becomes_the_mean_and_is_said():
    image = open_image(along("t", [0.0, 5.0, 10.1], {"units": "s"}))
    assert image.pixel_size == {"T": pytest.approx(5.05)} and "from 5 to 5.1" in image.notes[0]


@pytest.mark.parametrize("coordinate", [[0.0, 1.0, 3.0], ["a", "b"], [2.0, 2.0], [0.0, np.nan]])
def test_a_coordinate_without_a_spacing_is_said(coordinate):
    image = open_image(along("y", coordinate, {"units": "um"}))
    assert "Y" not in image.pixel_size and "Y" not in image.units and "coordinate 'y'" in image.notes[0]


def test_one_plane_has_a_place_and_no_thickness():
    image = open_image(along("t", [12.5]))
    assert image.origin == {"T": 12.5} and image.pixel_size == {} and not image.notes


def test_units_of_dates_and_of_other_spellings():
    image = open_image(along("t", [3.0, 3.5, 4.0], {"units": "days since 2020-01-01"}))
    assert (image.pixel_size, image.origin, image.units) == ({"T": 0.5}, {"T": 0.0}, {"T": "day"})
    assert "begin at 3 days since 2020-01-01" in image.notes[0]
    assert open_image(along("y", [0.0, 0.5], {"unit": "um"})).units == {"Y": "micrometer"}
    image = open_image(along("y", [0.0, 0.5], {"units": "furlong"}))
    assert image.pixel_size == {"Y": 0.5} and image.units == {} and "'furlong' of Y is unknown" in image.notes[0]


def test_a_dataset_says_what_to_pass():
    array = along("y", [0.0, 0.5])
    with pytest.raises(SourceError, match=r"pass one of them.*'cells'"):
        open_image(xr.Dataset({"cells": array}))


def test_declared_missing_values_and_packing():
    array = along("y", [0.0, 0.5]).astype(np.int16).assign_attrs(_FillValue=-1, add_offset=5.0)
    image = open_image(array)
    assert image.missing_values == (-1.0,) and "packed (add_offset 5.0)" in image.notes[0]
