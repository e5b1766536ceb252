"""ND2 files: loops of every kind, colour, compression, and frames that are not there."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nd2_files import CUSTOM, TIME, Z, loop, positions, write_nd2

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers.microscopes import nd2

RNG = np.random.default_rng(0)


def noise(*shape: int, dtype: str = "<u2") -> np.ndarray:
    return RNG.integers(1, 200, shape).astype(dtype)


def opened(path: Path, **options: Any) -> Image:
    pytest.importorskip("nd2")
    return nd2.open(str(path), **options)


def everything(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, length) for length in image.shape))


def test_without_nd2_the_package_to_install_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "nd2", None)
    path = write_nd2(tmp_path / "a.nd2", [noise(8, 9, 1)])
    with pytest.raises(SourceError, match=r"pip install 'napari-restore\[nd2\]'"):
        nd2.open(str(path))


@pytest.mark.parametrize("compression", [2, 0])
def test_a_stack_and_what_is_said_of_it(tmp_path: Path, compression: int) -> None:
    frames = noise(3, 4, 30, 40, 2)
    loops = [loop(TIME, 3), loop(Z, 4, dZLow=0.0, dZHigh=1.5, dZStep=0.5, dZHome=0.0)]
    path = write_nd2(
        tmp_path / "a.nd2",
        list(frames.reshape(12, 30, 40, 2)),
        loops,
        [("GFP", 0x00FF00), ("DAPI", 0xFF0000)],
        stage=(100.0, -20.0, 7.0),
        times=[250.0 * n + 11 for n in range(12)],
        compression=compression,
    )
    image = pickle.loads(pickle.dumps(opened(path)))
    expected = frames.transpose(0, 4, 1, 2, 3)
    assert image.axes == "TCZYX" and image.chunks == (1, 1, 1, 30, 40) and image.notes == ()
    np.testing.assert_array_equal(everything(image), expected)
    for _ in range(20):
        low = [int(RNG.integers(0, length)) for length in expected.shape]
        high = [int(RNG.integers(a + 1, length + 1)) for a, length in zip(low, expected.shape, strict=True)]
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        np.testing.assert_array_equal(image.read(region), expected[region])
    assert image.pixel_size == {"X": 0.25, "Y": 0.25, "Z": 0.5, "T": 1.0}
    # The stage's Z is that of the home plane, which nd2 takes to be the second one here.
    assert image.origin == {"Z": 6.5, "Y": -20 - 14.5 * 0.25, "X": 100 - 19.5 * 0.25}
    assert image.units == {"X": "micrometer", "Y": "micrometer", "Z": "micrometer", "T": "second"}
    assert [(channel.name, channel.color) for channel in image.channels] == [("GFP", "00FF00"), ("DAPI", "0000FF")]


def test_colour_comes_red_first(tmp_path: Path) -> None:
    frame = noise(30, 40, 3, dtype="u1")
    image = opened(write_nd2(tmp_path / "a.nd2", [frame]))
    assert image.axes == "YXS" and image.channels[0].color is None
    np.testing.assert_array_equal(everything(image), frame[..., ::-1])
    region = (slice(3, 9), slice(20, 40), slice(0, 2))
    np.testing.assert_array_equal(image.read(region), frame[..., ::-1][region])


def test_positions_and_other_loops_are_images_of_their_own(tmp_path: Path) -> None:
    frames = noise(2, 3, 2, 30, 40, 1)
    loops = [loop(TIME, 2), positions({"A1": (0.0, 0.0), "A2": (50.0, 0.0), "B1": (0.0, 70.0)}), loop(CUSTOM, 2)]
    path = write_nd2(tmp_path / "a.nd2", list(frames.reshape(12, 30, 40, 1)), loops)
    names = ("A1, custom loop 0", "A1, custom loop 1", "A2, custom loop 0")
    assert opened(path).series_names[:3] == names and opened(path).series_count == 6
    for number, (p, c) in enumerate(np.ndindex(3, 2)):
        image = pickle.loads(pickle.dumps(opened(path, series=number)))
        np.testing.assert_array_equal(everything(image), frames[:, p, c, :, :, 0])
    image = opened(path, series="A2, custom loop 1")
    assert image.name == "a.nd2 [A2, custom loop 1]" and image.origin["X"] == 50 - 19.5 * 0.25
    with pytest.raises(SourceError, match=r"'C9' is not in"):
        opened(path, series="C9")


def test_a_second_loop_of_time_is_not_lost(tmp_path: Path) -> None:
    frames = noise(2, 3, 30, 40, 1)
    path = write_nd2(tmp_path / "a.nd2", list(frames.reshape(6, 30, 40, 1)), [loop(TIME, 2), loop(TIME, 3)])
    assert opened(path).series_names == ("time loop 0", "time loop 1", "time loop 2")
    np.testing.assert_array_equal(everything(opened(path, series=1)), frames[:, 1, :, :, 0])


def test_frames_that_are_not_there_are_said_and_cannot_be_read(tmp_path: Path) -> None:
    frames = noise(5, 30, 40, 1)
    path = write_nd2(tmp_path / "a.nd2", list(frames[:3]), [loop(TIME, 5)])
    image = opened(path)
    assert image.notes == ("2 of 5 frames are not in the file and cannot be read.",)
    np.testing.assert_array_equal(image.read((slice(0, 3), slice(0, 30), slice(0, 40))), frames[:3, :, :, 0])
    with pytest.raises(ChunkError, match="the frame at T 3, Z 0 is not in the file; its acquisition was stopped"):
        everything(image)
    hole = write_nd2(tmp_path / "b.nd2", [frames[0], None, frames[2]], [loop(TIME, 3)])
    with pytest.raises(ChunkError, match="the frame at T 1, Z 0 is not in the file; the file is damaged"):
        everything(opened(hole))


def test_what_is_unknown_stays_unknown(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", list(noise(2, 30, 40, 1)), [loop(TIME, 2)], calibration=None, times=[3.0, 3.0])
    image = opened(path)
    assert image.pixel_size == {} and image.origin == {} and image.units == {}


def test_metadata_that_cannot_be_read_cost_no_pixels(tmp_path: Path) -> None:
    frames = noise(2, 30, 40, 1)
    image = opened(write_nd2(tmp_path / "a.nd2", list(frames), [loop(TIME, 2)], probes=False, times=[0.0, 2000.0]))
    np.testing.assert_array_equal(everything(image), frames[..., 0])
    assert "sizes and names are unknown" in image.notes[0] and image.channels == () and "X" not in image.pixel_size


def test_planes_from_top_to_bottom_have_a_negative_distance(tmp_path: Path) -> None:
    loops = [loop(Z, 4, dZLow=0.0, dZHigh=1.5, dZStep=0.5, dZHome=0.0, iType=5)]
    image = opened(write_nd2(tmp_path / "a.nd2", list(noise(4, 30, 40, 1)), loops))
    assert image.pixel_size["Z"] == -0.5 and "Z" not in image.origin


def test_uneven_time_steps_are_said(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", list(noise(3, 30, 40, 1)), [loop(TIME, 3)], times=[0.0, 1000.0, 9000.0])
    image = opened(path)
    assert image.pixel_size["T"] == 4.5 and "from 1 to 8 s; their mean is used" in image.notes[0]


def test_damage_is_named(tmp_path: Path) -> None:
    path = write_nd2(tmp_path / "a.nd2", list(noise(2, 30, 40, 1)), [loop(TIME, 2)])
    whole = path.read_bytes()
    assert nd2.recognises(str(path)) and not nd2.recognises(str(tmp_path)) and not nd2.recognises(None)
    with pytest.raises(AxesError, match="has the axes TYX"):
        opened(path, axes="ZYX")
    with pytest.raises(SourceError, match="level 1 is not in"):
        opened(path, level=1)
    path.write_bytes(whole[:-50])
    with pytest.raises(SourceError, match=r"cannot be opened as ND2.*Copy"):
        opened(path)
    with pytest.raises(SourceError, match="compressed with loss, which is not supported"):
        opened(write_nd2(tmp_path / "b.nd2", [noise(30, 40, 1)], compression=1))
    path.write_bytes(b"no" + whole)
    assert not nd2.recognises(str(path))
