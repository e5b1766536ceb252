"""NDTiff data sets: axes, positions, tiles and levels, and what was not acquired."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ndtiff_files import write_ndtiff

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers.microscopes import ndtiff

RNG = np.random.default_rng(0)


def noise(*shape: int, dtype: str = "<u2") -> np.ndarray:
    return RNG.integers(1, 200, shape).astype(dtype)


def opened(path: Path, **options: Any) -> Image:
    return ndtiff.open(str(path), **options)


def everything(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, length) for length in image.shape))


def test_a_stack_in_several_files_and_what_is_said_of_it(tmp_path: Path) -> None:
    pixels = noise(3, 2, 4, 30, 40)
    shots = [
        (
            {"time": t, "channel": "GFP" if c else "DAPI", "z": z},
            pixels[t, c, z],
            {"PixelSizeUm": 0.25, "ElapsedTime-ms": 1500 * t + 7, "ZPosition_um_Intended": 10 + 0.5 * z,
             "XPosition_um_Intended": 100, "YPosition_um_Intended": -20},
        )
        for t, c, z in np.ndindex(3, 2, 4)
    ]  # fmt: skip
    path = write_ndtiff(tmp_path / "set", shots, {"PixelSize_um": 9}, per_file=7)
    settings = {"DAPI": {"Color": -16776961, "Min": 5, "Max": 900}, "other": 3}
    (path / "display_settings.txt").write_text(json.dumps(settings))
    image = pickle.loads(pickle.dumps(opened(path)))
    assert image.axes == "TCZYX" and image.shape == pixels.shape and image.chunks == (1, 1, 1, 30, 40)
    np.testing.assert_array_equal(everything(image), pixels)
    for _ in range(20):
        low = [int(RNG.integers(0, length)) for length in pixels.shape]
        high = [int(RNG.integers(a + 1, length + 1)) for a, length in zip(low, pixels.shape, strict=True)]
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        np.testing.assert_array_equal(image.read(region), pixels[region])
    assert image.pixel_size == {"Y": 0.25, "X": 0.25, "Z": 0.5, "T": 1.5}
    assert image.origin == {"Z": 10, "Y": -20 - 14.5 * 0.25, "X": 100 - 19.5 * 0.25}
    assert image.units == {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
    assert [channel.name for channel in image.channels] == ["DAPI", "GFP"]
    assert image.channels[0].color == "0000FF" and image.channels[0].window == (5, 900)
    assert image.notes == () and image.name == "set"
    part = opened(path / "x_NDTiffStack_2.tif")
    assert ndtiff.recognises(str(path / "x_NDTiffStack_2.tif")) and part.shape == image.shape


def test_positions_by_number_and_name(tmp_path: Path) -> None:
    pixels = noise(11, 30, 40)
    shots = [({"position": f"Pos{n}"}, pixels[n], {}) for n in reversed(range(11))]
    path = write_ndtiff(tmp_path / "set", shots)
    assert opened(path).series_names == tuple(f"Pos{n}" for n in range(11))
    np.testing.assert_array_equal(everything(opened(path, series=10)), pixels[10])
    image = opened(path, series="Pos2")
    np.testing.assert_array_equal(everything(image), pixels[2])
    assert image.name == "set [Pos2]" and image.series_count == 11
    with pytest.raises(SourceError, match="'Pos11' is not in"):
        opened(path, series="Pos11")


def test_other_axes_and_sizes_are_images_of_their_own(tmp_path: Path) -> None:
    small, large = noise(2, 30, 40), noise(50, 60, dtype="u1")
    shots = [({"position": 3, "view": v, "z": 0}, small[v], {}) for v in range(2)]
    shots += [({"position": 3, "view": 1, "z": 1}, large, {})]
    path = write_ndtiff(tmp_path / "set", shots)
    names = opened(path).series_names
    assert names == (
        "view 0, 40 × 30 pixels of type 1", "view 1, 40 × 30 pixels of type 1", "view 1, 60 × 50 pixels of type 0",
    )  # fmt: skip
    np.testing.assert_array_equal(everything(opened(path, series=1)), small[1])
    np.testing.assert_array_equal(everything(opened(path, series=2)), large)


def test_colour(tmp_path: Path) -> None:
    pixels = noise(2, 30, 40, 3, dtype="u1")
    image = opened(write_ndtiff(tmp_path / "set", [({"time": t}, pixels[t], {}) for t in range(2)]))
    assert image.axes == "TYXS"
    np.testing.assert_array_equal(everything(image), pixels)


def test_what_was_not_acquired_is_said_and_cannot_be_read(tmp_path: Path) -> None:
    pixels = noise(3, 2, 30, 40)
    shots = [({"time": 2 * t, "z": z - 1}, pixels[t, z], {}) for t, z in np.ndindex(3, 2)][:-1]
    image = opened(write_ndtiff(tmp_path / "set", shots))
    assert image.notes == ("1 of 6 planes were not acquired and cannot be read.",)
    np.testing.assert_array_equal(image.read((slice(0, 2), *map(slice, image.shape[1:]))), pixels[:2])
    with pytest.raises(ChunkError, match="no image at time 4, z 0: it was not acquired"):
        everything(image)


def test_a_channel_without_z_lies_in_the_first_plane(tmp_path: Path) -> None:
    pixels, light = noise(3, 30, 40), noise(30, 40)
    shots = [({"channel": "GFP", "z": z}, pixels[z], {}) for z in range(3)] + [({"channel": "light"}, light, {})]
    image = opened(write_ndtiff(tmp_path / "set", shots))
    np.testing.assert_array_equal(image.read((slice(1, 2), slice(0, 1), slice(0, 30), slice(0, 40)))[0, 0], light)
    np.testing.assert_array_equal(image.read((slice(0, 1), slice(0, 3), slice(0, 30), slice(0, 40)))[0], pixels)
    assert image.notes == ("2 of 6 planes were not acquired and cannot be read.",)


def tiled(folder: Path, scene: np.ndarray, lost: tuple[int, int] | None = None) -> Path:
    """Write tiles of 34 × 36 pixels that overlap by 4 × 6, and levels of means without the overlap."""
    shots = [
        (
            {"row": r - 1, "column": c + 2, "channel": 0},
            np.ascontiguousarray(scene[30 * r : 30 * r + 34, 30 * c : 30 * c + 36]),
            {"PixelSizeUm": 2.0, "XPosition_um_Intended": 60 * c, "YPosition_um_Intended": 60 * r, "Channel": "GFP"},
        )
        for r, c in np.ndindex(2, 3)
        if (r, c) != lost
    ]
    summary = {"GridPixelOverlapX": 6, "GridPixelOverlapY": 4, "TiledImageStorage": True}
    write_ndtiff(folder / "Full resolution", shots, summary)
    # Tiles of the coarser level begin at row and column 0 of the stage's grid: here lie rows −1 and 0, columns 1 and 2.
    inner = np.zeros((120, 180), scene.dtype)
    inner[30:90, 60:150] = scene[2:62, 3:93]
    half = inner.reshape(60, 2, 90, 2).mean((1, 3)).astype(scene.dtype)
    coarse = [
        ({"row": r - 1, "column": c, "channel": 0}, np.ascontiguousarray(half[30 * r :, 30 * c :][:30, :30]), {})
        for r, c in np.ndindex(2, 3)
        if c > 0
    ]
    write_ndtiff(folder / "Downsampled_x2", coarse, summary)
    return folder


def test_tiles_and_levels(tmp_path: Path) -> None:
    scene = noise(64, 96)
    path = tiled(tmp_path / "set", scene)
    image = pickle.loads(pickle.dumps(opened(path)))
    np.testing.assert_array_equal(everything(image), scene)
    np.testing.assert_array_equal(image.read((slice(20, 50), slice(25, 80))), scene[20:50, 25:80])
    assert image.series_count == 1 and [channel.name for channel in image.channels] == ["GFP"]
    assert image.pixel_size == {"Y": 2.0, "X": 2.0} and image.origin == {"Y": -33.0, "X": -35.0}
    assert image.notes == ()
    half = opened(path, level=1)
    expected = scene[2:62, 3:93].reshape(30, 2, 45, 2).mean((1, 3)).astype(scene.dtype)
    np.testing.assert_array_equal(everything(half), expected)
    assert half.pixel_size == {"Y": 4.0, "X": 4.0} and half.origin == {"Y": -33 + 5, "X": -35 + 7}
    with pytest.raises(SourceError, match="level 2 is not in"):
        opened(path, level=2)


def test_each_tile_reaches_to_the_middle_of_the_overlap(tmp_path: Path) -> None:
    shots = [({"row": 0, "column": c}, np.full((34, 36), 10 * (c + 1), np.uint16), {}) for c in range(2)]
    path = write_ndtiff(tmp_path / "set", shots, {"GridPixelOverlapX": 6, "GridPixelOverlapY": 4})
    assert everything(opened(path))[5].tolist() == [10] * 33 + [20] * 33


def test_tiles_that_were_not_acquired_are_0(tmp_path: Path) -> None:
    scene = noise(64, 96)
    image = opened(tiled(tmp_path / "set", scene, lost=(1, 1)))
    read = everything(image)
    assert image.notes == ("Some tiles were not acquired; pixels there are 0.",)
    assert (read[34:, 36:60] == 0).all()
    np.testing.assert_array_equal(read[:34], scene[:34])
    np.testing.assert_array_equal(read[:, :36], scene[:, :36])


def test_rows_and_columns_without_overlap_are_images_of_their_own(tmp_path: Path) -> None:
    path = write_ndtiff(tmp_path / "set", [({"row": 0, "column": c}, noise(30, 40), {}) for c in range(2)])
    assert opened(path).series_names == ("column 0", "column 1")


def test_damage_is_named(tmp_path: Path) -> None:
    shots = [({"time": t}, noise(30, 40), {}) for t in range(4)]
    path = write_ndtiff(tmp_path / "set", shots, per_file=2)
    index = (path / "NDTiff.index").read_bytes()
    image = opened(path)
    (path / "NDTiff.index").write_bytes(index[:-9])
    cut = opened(path)
    assert cut.sizes["T"] == 3 and "cut off, or is still being written" in cut.notes[0]
    (path / "NDTiff.index").write_bytes(index + b"\0\0\0\0")
    assert "cut off" in opened(path).notes[0]
    (path / "NDTiff.index").write_bytes(b"\xff" * 40)
    with pytest.raises(SourceError, match=r"NDTiff.index is damaged"):
        opened(path)
    (path / "NDTiff.index").write_bytes(index)
    (path / "x_NDTiffStack_1.tif").unlink()
    assert opened(path).notes == ("1 of 2 files are missing (x_NDTiffStack_1.tif); their images cannot be read.",)
    with pytest.raises(ChunkError, match="does not exist; copy all files"):
        everything(image)
    (path / "x_NDTiffStack.tif").write_bytes((path / "x_NDTiffStack.tif").read_bytes()[:2000])
    with pytest.raises(ChunkError, match="truncated"):
        everything(image)
    with pytest.raises(AxesError, match="has the axes TYX"):
        opened(path, axes="ZYX")
    for wrong in ({"pixel_type": 9}, {"compression": 4}):
        with pytest.raises(SourceError, match="not supported"):
            opened(write_ndtiff(tmp_path / "wrong", shots, **wrong))  # type: ignore[arg-type]


def test_what_is_recognised(tmp_path: Path) -> None:
    path = write_ndtiff(tmp_path / "set", [({"time": 0}, noise(30, 40), {})])
    (path / "other.tif").write_bytes(b"II*\0")
    assert ndtiff.recognises(str(path))
    others = [str(tmp_path), str(path / "other.tif"), str(path / "NDTiff.index"), str(path / "no.tif"), 3]
    assert not any(map(ndtiff.recognises, others))
