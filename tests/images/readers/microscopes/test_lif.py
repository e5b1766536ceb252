"""LIF files: every dimension in any order, beside what was written and beside liffile."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lif_files import Stored, write_lif

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers.microscopes import lif

RNG = np.random.default_rng(0)
EXTENTS = {"X": (1e-6, 3.9e-6, "m"), "Y": (0.0, 5.8e-6, "m"), "Z": (2e-6, 1.5e-6, "m"), "T": (0.0, 4.0, "s")}


def noise(*shape: int, dtype: str = "<u2") -> np.ndarray:
    return RNG.integers(1, 200, shape).astype(dtype)


def opened(path: Path, **options: Any) -> Image:
    pytest.importorskip("liffile")
    return lif.open(str(path), **options)


def everything(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, length) for length in image.shape))


def test_without_liffile_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "liffile", None)
    path = write_lif(tmp_path / "a.lif", [Stored("a", noise(8, 9), "YX", {})])
    with pytest.raises(SourceError, match=r"pip install 'napari-restore\[lif\]'"):
        lif.open(str(path))


def test_a_stack_and_what_is_said_of_it(tmp_path: Path) -> None:
    pixels = noise(5, 4, 2, 30, 40)
    scaling = (
        '<Attachment Name="ViewerScaling"><ChannelScalingInfo WhiteValue="0.5" BlackValue="0.25" />'
        '<ChannelScalingInfo WhiteValue="1" BlackValue="0" /></Attachment>'
    )
    path = write_lif(tmp_path / "a.lif", [Stored("cells", pixels, "TZCYX", EXTENTS, ("Green", "Red"), more=scaling)])
    image = opened(path)
    assert image.axes == "TCZYX" and image.dtype == np.uint16 and image.chunks == (1, 1, 1, 30, 40)
    np.testing.assert_array_equal(everything(image), pixels.transpose(0, 2, 1, 3, 4))
    assert image.pixel_size == pytest.approx({"T": 1.0, "Z": 0.5, "Y": 0.2, "X": 0.1})
    assert image.origin == {"Z": 2.0, "X": 1.0}
    assert image.units == {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
    assert [channel.name for channel in image.channels] == ["Green", "Red"]
    assert [channel.color for channel in image.channels] == ["00FF00", "FF0000"]
    assert image.channels[0].window == (0.25 * 65535, 0.5 * 65535)
    assert image.series_names == ("cells",) and image.name == "a.lif" and image.notes == ()


@pytest.mark.parametrize("axes", ["TCZYX", "CTZYX", "YXCZT", "XYZCT", "YCZX"])
def test_any_order_of_dimensions_and_any_region(tmp_path: Path, axes: str) -> None:
    lengths = {"T": 3, "C": 2, "Z": 4, "Y": 30, "X": 40}
    pixels = noise(*(lengths[axis] for axis in axes))
    image = pickle.loads(pickle.dumps(opened(write_lif(tmp_path / "a.lif", [Stored("a", pixels, axes, EXTENTS)]))))
    expected = pixels.transpose([axes.index(axis) for axis in image.axes])
    np.testing.assert_array_equal(everything(image), expected)
    for _ in range(30):
        low = [int(RNG.integers(0, length)) for length in expected.shape]
        high = [int(RNG.integers(a + 1, length + 1)) for a, length in zip(low, expected.shape, strict=True)]
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        np.testing.assert_array_equal(image.read(region), expected[region])


@pytest.mark.parametrize("dtype", ["<u1", "<u2", "<u4", "<f4", "<f8"])
def test_types_of_pixels(tmp_path: Path, dtype: str) -> None:
    pixels = noise(30, 40, dtype=dtype)
    image = opened(write_lif(tmp_path / "a.lif", [Stored("a", pixels, "YX", EXTENTS)]))
    assert image.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(everything(image), pixels)
    twelve = opened(write_lif(tmp_path / "b.lif", [Stored("a", noise(30, 40), "YX", {}, ("Gray",), bits=12)]))
    assert twelve.dtype == np.uint16


@pytest.mark.parametrize("tags", [(1, 2, 3), (3, 2, 1)])
def test_colour_comes_red_first(tmp_path: Path, tags: tuple[int, int, int]) -> None:
    pixels = noise(30, 40, 3, dtype="<u1")
    image = opened(write_lif(tmp_path / "a.lif", [Stored("a", pixels, "YXS", EXTENTS, tags=tags)]))
    assert image.axes == "YXS" and image.channels == ()
    np.testing.assert_array_equal(everything(image), pixels if tags[0] == 1 else pixels[..., ::-1])


@pytest.mark.parametrize(("axes", "letter", "kind"), [("TCZX", "Z", "x–z"), ("CZX", "Z", "x–z"), ("CTX", "T", "x–t")])
def test_scans_without_rows(tmp_path: Path, axes: str, letter: str, kind: str) -> None:
    lengths = {"T": 5, "C": 2, "Z": 4, "X": 40}
    pixels = noise(*(lengths[axis] for axis in axes))
    image = opened(write_lif(tmp_path / "a.lif", [Stored("a", pixels, axes, EXTENTS)]))
    assert image.axes == axes.replace(letter, "Y")
    np.testing.assert_array_equal(everything(image), pixels)
    assert image.notes == (f"It is an {kind} scan: its rows run along {letter}, and are called Y here.",)
    assert image.pixel_size.get("Y") == (pytest.approx(0.5) if letter == "Z" else None)


def test_the_bands_of_one_channel_are_channels(tmp_path: Path) -> None:
    pixels = noise(4, 30, 40)
    extents = {**EXTENTS, "λ": (500e-9, 30e-9, "m")}
    image = opened(write_lif(tmp_path / "a.lif", [Stored("a", pixels, "λYX", extents)]))
    assert image.axes == "CYX" and [c.name for c in image.channels] == ["500 nm", "510 nm", "520 nm", "530 nm"]
    np.testing.assert_array_equal(everything(image), pixels)


@pytest.mark.parametrize(
    ("letter", "word"),
    [("λ", "emission"), ("Λ", "excitation"), ("A", "rotation"), ("L", "loop"), ("M", "tile"), ("N", "XT slice")],
)
def test_other_dimensions_are_images_of_their_own(tmp_path: Path, letter: str, word: str) -> None:
    pixels, plain = noise(3, 2, 30, 40), noise(30, 40)
    path = write_lif(tmp_path / "a.lif", [Stored("b", plain, "YX", {}), Stored("a", pixels, f"{letter}CYX", EXTENTS)])
    image = opened(path, series=f"a, {word} 1")
    assert image.series_names == ("b", f"a, {word} 0", f"a, {word} 1", f"a, {word} 2")
    assert image.series_count == 4 and image.name == f"a.lif [a, {word} 1]"
    np.testing.assert_array_equal(everything(image), pixels[1])
    np.testing.assert_array_equal(everything(opened(path, series=3)), pixels[2])
    with pytest.raises(SourceError, match="series 4 is not in"):
        opened(path, series=4)


def test_tiles_lie_where_the_stage_was(tmp_path: Path) -> None:
    tiles = "".join(f'<Tile FieldX="{n}" FieldY="0" PosX="{n * 1e-4}" PosY="0.002" />' for n in range(3))
    stored = Stored("a", noise(3, 30, 40), "MYX", EXTENTS)
    for flip, expected in ((0, {"Y": 2000.0, "X": 200.0}), (1, {"X": 1.0})):
        stored.more = f'<Attachment Name="TileScanInfo" FlipX="{flip}" FlipY="0" SwapXY="0">{tiles}</Attachment>'
        image = opened(write_lif(tmp_path / "a.lif", [stored]), series="a, tile 2")
        assert image.origin == expected


def test_channels_that_do_not_belong_together_are_images_of_their_own(tmp_path: Path) -> None:
    pixels = noise(2, 30, 40)
    path = write_lif(tmp_path / "a.lif", [Stored("a", pixels, "CYX", EXTENTS)])
    sixteen, eight = (f'Resolution="{bits}"'.encode("utf-16-le") for bits in ("16", "08"))
    before, first, second = path.read_bytes().partition(sixteen)
    path.write_bytes(before + first + second.replace(sixteen, eight))
    assert opened(path).series_names == ("a, channel 0", "a, channel 1")
    np.testing.assert_array_equal(everything(opened(path, series=0)), pixels[0])
    assert opened(path, series=1).dtype == np.uint8


def test_positions_that_fall_keep_their_sign(tmp_path: Path) -> None:
    pixels = noise(4, 30, 40)
    extents = {**EXTENTS, "Z": (5e-6, -1.5e-6, "m")}
    image = opened(write_lif(tmp_path / "a.lif", [Stored("a", pixels, "ZYX", extents)]))
    assert image.pixel_size["Z"] == pytest.approx(-0.5) and image.origin["Z"] == 5.0
    np.testing.assert_array_equal(everything(image), pixels)


def test_damage_is_named(tmp_path: Path) -> None:
    path = write_lif(tmp_path / "a.lif", [Stored("a", noise(4, 30, 40), "ZYX", EXTENTS)])
    image, whole = opened(path), path.read_bytes()
    assert lif.recognises(str(path)) and not lif.recognises(str(tmp_path)) and not lif.recognises(3)
    path.write_bytes(whole[:-100])
    with pytest.raises(SourceError, match="truncated: the image 'a' has"):
        opened(path)
    with pytest.raises(ChunkError, match="truncated"):
        everything(image)
    path.write_bytes(whole[:500])
    with pytest.raises(SourceError, match="cannot be read as LIF"):
        opened(path)
    path.write_bytes(b"no" + whole)
    assert not lif.recognises(str(path))
    path.write_bytes(whole)
    with pytest.raises(AxesError, match="has the axes ZYX"):
        opened(path, axes="TYX")
    with pytest.raises(SourceError, match="level 1 is not in"):
        opened(path, level=1)


def test_images_beside_liffile(tmp_path: Path) -> None:
    liffile = pytest.importorskip("liffile")
    images = [Stored("a", noise(3, 4, 30, 40), "TZYX", EXTENTS), Stored("b", noise(2, 30, 40), "CYX", EXTENTS)]
    path = write_lif(tmp_path / "a.lif", images)
    with liffile.LifFile(path) as file:
        for number, other in enumerate(file.images):
            image = opened(path, series=number)
            np.testing.assert_array_equal(everything(image), other.asarray())
            for axis in image.pixel_size:
                places = other.coords[axis]
                factor = 1 if axis == "T" else 1e6
                assert image.pixel_size[axis] == pytest.approx(factor * (places[1] - places[0]))
                assert image.origin.get(axis, 0.0) == pytest.approx(factor * places[0])
