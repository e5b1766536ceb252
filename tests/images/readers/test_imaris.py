from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.opening import open_image

SHAPE = (2, 2, 5, 70, 90)
CHUNK = (4, 32, 64)


def text(group: Any, **attributes: object) -> None:
    """Write attributes as Imaris does: arrays of single characters."""
    for name, value in attributes.items():
        group.attrs[name] = np.frombuffer(str(value).encode("latin-1"), "S1")


def write(path: Path, pixels: np.ndarray) -> None:
    """Write a file in the layout of Imaris 5.5: datasets padded to whole chunks, two resolution levels."""
    times, channels = pixels.shape[:2]
    with h5py.File(path, "w") as file:
        text(file, ImarisDataSet="ImarisDataSet", DataSetDirectoryName="DataSet", ImarisVersion="5.5.0")
        for level, step in enumerate((1, 2)):
            for t in range(times):
                for c in range(channels):
                    volume = pixels[t, c, :, ::step, ::step]
                    padding = [(0, -length % chunk) for length, chunk in zip(volume.shape, CHUNK, strict=True)]
                    group = file.create_group(f"DataSet/ResolutionLevel {level}/TimePoint {t}/Channel {c}")
                    padded = np.pad(volume, padding, constant_values=7)
                    group.create_dataset("Data", data=padded, chunks=CHUNK, compression="gzip", fletcher32=True)
                    group["Histogram"] = np.zeros(256, np.uint64)
                    text(group, **{f"ImageSize{a}": n for a, n in zip("ZYX", volume.shape, strict=True)})
        image = file.create_group("DataSetInfo/Image")
        text(image, X=90, Y=70, Z=5, Unit="um", ExtMin0=-10, ExtMax0=-1, ExtMin1=0, ExtMax1=14, ExtMin2=0, ExtMax2=10)
        for c, (name, colour) in enumerate((("DAPI", "0.000 0.000 1.000"), ("GFP", "0.000 1.000 0.000"))[:channels]):
            info = file.create_group(f"DataSetInfo/Channel {c}")
            text(info, Name=name, Color=colour, ColorRange=f"{100 * c}.000 4095.000")
        info = file.create_group("DataSetInfo/TimeInfo")
        text(info, TimePoint1="2026-01-01 00:00:00.000", TimePoint2="2026-01-01 00:01:30.000", DatasetTimePoints=times)


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 4096, SHAPE, np.uint16)


def test_pixels_and_metadata(tmp_path: Path, pixels: np.ndarray) -> None:
    write(tmp_path / "cells.ims", pixels)
    image = open_image(tmp_path / "cells.ims")
    assert (image.axes, image.shape, image.chunks) == ("TCZYX", SHAPE, (1, 1, 4, 32, 64))
    assert image.pixel_size == pytest.approx({"T": 90.0, "Z": 2.0, "Y": 0.2, "X": 0.1})
    assert image.origin == pytest.approx({"Z": 1.0, "Y": 0.1, "X": -9.95})  # edges in the file, centres here
    assert image.units == {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
    assert [(channel.name, channel.color, channel.window) for channel in image.channels] == [
        ("DAPI", "0000FF", (0.0, 4095.0)), ("GFP", "00FF00", (100.0, 4095.0)),
    ]  # fmt: skip
    whole = tuple(slice(0, length) for length in SHAPE)
    np.testing.assert_array_equal(image.read(whole), pixels)
    part = (slice(1, 2), slice(0, 2), slice(3, 5), slice(30, 70), slice(60, 90))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(image)).read(part), pixels[part])


def test_a_coarser_level_covers_the_same_field(tmp_path: Path, pixels: np.ndarray) -> None:
    write(tmp_path / "cells.ims", pixels)
    image = open_image(tmp_path / "cells.ims", level=1)
    assert image.sizes == {"T": 2, "C": 2, "Z": 5, "Y": 35, "X": 45}
    assert image.pixel_size["X"] == pytest.approx(0.2) and image.origin["X"] == pytest.approx(-9.9)
    np.testing.assert_array_equal(image.read((slice(None),) * 5), pixels[..., ::2, ::2])
    with pytest.raises(SourceError, match=r"level 2 .* it has 2"):
        open_image(tmp_path / "cells.ims", level=2)


def test_one_time_and_channel_are_a_volume(tmp_path: Path, pixels: np.ndarray) -> None:
    write(tmp_path / "cells.h5", pixels[:1, :1])  # known by what is in it
    image = open_image(tmp_path / "cells.h5")
    assert image.axes == "ZYX" and image.channels[0].name == "DAPI" and image.location == str(tmp_path / "cells.h5")
    np.testing.assert_array_equal(image.read((slice(2, 4), slice(0, 70), slice(5, 90))), pixels[0, 0, 2:4, :, 5:])
    with pytest.raises(AxesError, match="has the axes ZYX"):
        open_image(tmp_path / "cells.h5", axes="TYX")


def test_damage_is_named(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "cells.ims"
    write(path, pixels)
    inside = "/DataSet/ResolutionLevel 0/TimePoint 1/Channel 0/Data"
    with h5py.File(path) as file:
        where = file[inside].id.get_chunk_info_by_coord((4, 32, 0))
    content = bytearray(path.read_bytes())
    content[where.byte_offset + 9] ^= 1
    path.write_bytes(content)
    with pytest.raises(ChunkError, match=r"TimePoint 1/Channel 0/Data: chunk \(1, 1, 0\)"):
        open_image(path).read((slice(None),) * 5)
    path.write_bytes(content[:2000])
    with pytest.raises(SourceError, match=r"cells\.ims"):
        open_image(path)


@pytest.mark.parametrize(
    ("change", "sizes", "told"),
    [
        ({"ExtMax0": "9,0"}, {"Z": 2.0, "Y": 0.2}, "from -10 to 9,0 along X"),
        ({"ExtMax2": 0}, {"Y": 0.2, "X": 0.1}, "from 0 to 0 along Z"),
        ({"ExtMax0": -19}, {"Z": 2.0, "Y": 0.2, "X": -0.1}, ""),
        ({"Unit": "furlong"}, {"Z": 2.0, "Y": 0.2, "X": 0.1}, "'furlong' of X and Y and Z"),
    ],
)
def test_odd_extents_and_units_are_said(
    tmp_path: Path, pixels: np.ndarray, change: dict[str, object], sizes: dict[str, float], told: str
) -> None:
    write(tmp_path / "cells.ims", pixels)
    with h5py.File(tmp_path / "cells.ims", "r+") as file:
        text(file["DataSetInfo/Image"], **change)
    image = open_image(tmp_path / "cells.ims")
    assert {axis: size for axis, size in image.pixel_size.items() if axis != "T"} == pytest.approx(sizes)
    assert bool(image.notes) == bool(told) and all(told in note for note in image.notes)
