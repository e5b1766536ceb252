from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_restore.errors import AxesError
from napari_restore.images.opening import open_image


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cells.h5"


def scaled(path: Path, shape: tuple[int, ...], **scales: Any) -> None:
    """Write a dataset whose dimensions have scales; a value is the positions, or positions and unit."""
    with h5py.File(path, "w") as file:
        image = file.create_dataset("raw", data=np.arange(np.prod(shape), dtype=np.uint16).reshape(shape))
        for number, (name, given) in enumerate(scales.items()):
            values, unit = given if isinstance(given, tuple) else (given, None)
            scale = file.create_dataset(name, data=values)
            if unit:
                scale.attrs["units"] = unit
            scale.make_scale(name)
            image.dims[number].attach_scale(scale)


def test_scales_give_axes_pixel_size_origin_and_sign(path: Path) -> None:
    scaled(path, (2, 3, 4, 5), t=([0.0, 2.5], "s"), z=([3, 5, 7], "um"), y=([1.5, 1.0, 0.5, 0.0], "µm"), x=np.arange(5))
    image = open_image(f"{path}::raw")
    assert image.axes == "TZYX" and not image.notes
    assert image.pixel_size == {"T": 2.5, "Z": 2.0, "Y": -0.5, "X": 1.0}
    assert image.origin == {"T": 0.0, "Z": 3.0, "Y": 1.5, "X": 0.0}
    assert image.units == {"T": "second", "Z": "micrometer", "Y": "micrometer"}


def test_channels_times_since_a_date_and_what_is_not_even(path: Path) -> None:
    names = np.array(["DAPI", "GFP"], dtype=h5py.string_dtype())
    scaled(
        path,
        (3, 2, 4, 5),
        time=([60, 61, 62], "seconds since 2020-01-01"),
        c=names,
        y=[0, 1, 5, 6],
        x=([0, 1, 2.05, 3, 4], "mm"),
    )
    image = open_image(f"{path}::raw")
    assert image.axes == "TCYX" and [channel.name for channel in image.channels] == ["DAPI", "GFP"]
    assert image.pixel_size == {"T": 1.0, "X": 1.0} and image.origin == {"T": 0.0, "X": 0.0}
    assert image.units == {"T": "second", "X": "millimeter"}
    told = " ".join(image.notes)
    assert "begin at 60 seconds since 2020-01-01" in told and "size along Y is unknown" in told and "vary from" in told


def test_what_xarray_writes_as_netcdf(path: Path) -> None:
    """A dimension without coordinates has a scale of zeros, whose name is a sentence."""
    scaled(
        path,
        (2, 4, 5),
        z=np.zeros(2),
        y=([1.0, 0.5, 0.0, -0.5], "micrometer"),
        x=([7.0, 7.5, 8.0, 8.5, 9.0], "micrometer"),
    )
    with h5py.File(path, "a") as file:
        file["z"].attrs["NAME"] = np.bytes_("This is a netCDF dimension but not a netCDF variable.         2")
    image = open_image(f"{path}::raw")
    assert image.axes == "ZYX" and image.pixel_size == {"Y": -0.5, "X": 0.5} and not image.notes


def test_labels_with_scales_of_other_names_and_other_lengths(path: Path) -> None:
    scaled(path, (4, 5), rows=[0.0, 0.2, 0.4, 0.6], columns=[0.0, 1.0])
    with pytest.raises(AxesError, match="does not define its axes"):
        open_image(f"{path}::raw")
    assert open_image(f"{path}::raw", axes="YX").pixel_size == {"Y": pytest.approx(0.2)}
    with h5py.File(path, "a") as file:
        file["raw"].dims[0].label, file["raw"].dims[1].label = "y", "x"
    assert open_image(f"{path}::raw").pixel_size == {"Y": pytest.approx(0.2)}


def test_axistags(path: Path) -> None:
    tags = [
        {"key": "z", "typeFlags": 2, "resolution": 2.0, "description": ""},
        {"key": "y", "typeFlags": 2, "resolution": -0.5, "description": ""},
        {"key": "x", "typeFlags": 2, "resolution": 0, "description": ""},
        {"key": "c", "typeFlags": 1, "resolution": 3.0, "description": ""},
    ]
    with h5py.File(path, "w") as file:
        file.create_dataset("exported_data", data=np.zeros((2, 4, 5, 1))).attrs["axistags"] = json.dumps({"axes": tags})
    image = open_image(path)
    assert image.axes == "ZYXC" and image.pixel_size == {"Z": 2.0, "Y": -0.5} and not image.units
    with h5py.File(path, "a") as file:
        file["exported_data"].attrs["element_size_um"] = (4.0, 0.25, 0.125)
    image = open_image(path)
    assert image.pixel_size == {"Z": 4.0, "Y": 0.25, "X": 0.125} and set(image.units.values()) == {"micrometer"}


@pytest.mark.parametrize("tags", ["no JSON", "[]", '{"axes": 3}', '{"axes": ["y", "x"]}'])
def test_damaged_axistags_are_as_none(path: Path, tags: str) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=np.zeros((2, 4, 5))).attrs["axistags"] = tags
    with pytest.raises(AxesError, match="does not define its axes"):
        open_image(path)
    assert open_image(path, axes="ZYX").pixel_size == {}


def test_a_scale_that_lies_in_another_file_is_not_read(path: Path, tmp_path: Path) -> None:
    secret = tmp_path.parent / f"{tmp_path.name}-secret.bin"
    secret.write_bytes(np.arange(4.0).tobytes())
    scaled(path, (4, 5), y=np.arange(4.0), x=np.arange(5.0))
    with h5py.File(path, "a") as file:
        outer = file.create_dataset("outer", (4,), "f8", external=[(str(secret), 0, 32)])
        outer.make_scale("y")
        file["raw"].dims[0].detach_scale(file["y"])
        file["raw"].dims[0].attach_scale(outer)
    image = open_image(f"{path}::raw")
    assert image.axes == "YX" and "Y" not in image.pixel_size and "cannot be read" in " ".join(image.notes)


def test_an_unknown_unit_is_said(path: Path) -> None:
    scaled(path, (3, 4), y=([0.0, 0.5, 1.0], "furlong"), x=([0.0, 0.5, 1.0, 1.5], "pixel"))
    image = open_image(f"{path}::raw")
    assert image.pixel_size == {"Y": 0.5, "X": 0.5} and image.units == {}
    assert len(image.notes) == 1 and "'furlong' of Y" in image.notes[0]


@pytest.mark.parametrize(
    ("given", "sizes"), [([0.5, 0.25], {"Y": 0.5, "X": 0.25}), ([2, 0.5, 0.25], {"Y": 0.5, "X": 0.25}), ([1], {})]
)
def test_element_sizes_of_two_and_three_axes(path: Path, given: list[float], sizes: dict[str, float]) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("raw", data=np.zeros((4, 5), np.uint16)).attrs["element_size_um"] = given
    image = open_image(path)
    assert image.pixel_size == sizes and bool(image.notes) == (len(given) == 1)


@pytest.mark.parametrize("shape", [(), (9,)])
def test_what_has_no_plane_is_no_image(path: Path, shape: tuple[int, ...]) -> None:
    with h5py.File(path, "w") as file:
        file["raw"] = np.zeros(shape)
    with pytest.raises(AxesError, match="is no image"):
        open_image(f"{path}::raw")


def test_declared_missing_values_and_packing(path: Path) -> None:
    with h5py.File(path, "w") as file:
        attributes = file.create_dataset("raw", data=np.zeros((4, 5), np.int16)).attrs
        attributes["_FillValue"], attributes["scale_factor"] = np.int16(-9999), 0.5
    image = open_image(path)
    assert image.missing_values == (-9999.0,) and "packed (scale_factor 0.5)" in image.notes[0]
