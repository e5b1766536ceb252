"""CZI files: every region beside what was written, and every dimension that a file has."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from czi_files import Block, czi_xml, write_czi

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.image import Image
from napari_restore.images.readers.microscopes import czi

RNG = np.random.default_rng(0)


def noise(*shape: int, dtype: str = "u2") -> np.ndarray:
    return RNG.integers(1, 200, shape).astype(dtype)


def opened(path: Path, **options: object) -> Image:
    return czi.open(str(path), **options)  # type: ignore[arg-type]


def everything(image: Image) -> np.ndarray:
    return image.read(tuple(slice(0, length) for length in image.shape))


@pytest.fixture
def stack(tmp_path: Path) -> tuple[Path, np.ndarray]:
    pixels = noise(2, 3, 4, 30, 40)
    blocks = [Block(pixels[t, c, z], at={"C": c, "Z": z, "T": t}) for t, c, z in np.ndindex(2, 3, 4)]
    extra = (
        "<T><Positions><List><Offsets>0 2.5</Offsets></List></Positions></T><Z><StartPosition>12</StartPosition></Z>"
    )
    channels = [
        {"Name": "DAPI", "Color": "#FF0000FF", "Low": "0.1", "High": "0.5"},
        {"Name": "GFP", "Color": "#00FF00", "IsSelected": "false"},
        {"Name": "Light", "Color": "colourful"},
    ]
    xml = czi_xml({"X": 1e-7, "Y": 2e-7, "Z": 1.5e-6}, channels, extra=extra)
    return write_czi(tmp_path / "stack.czi", blocks, xml), pixels


def test_a_stack_and_what_is_said_of_it(stack: tuple[Path, np.ndarray]) -> None:
    path, pixels = stack
    image = opened(path)
    assert image.axes == "TCZYX" and image.shape == pixels.shape and image.dtype == np.uint16
    assert image.chunks == (1, 1, 1, 30, 40)
    np.testing.assert_array_equal(everything(image), pixels)
    assert image.pixel_size == {"X": 0.1, "Y": 0.2, "Z": 1.5, "T": 2.5}
    assert image.origin == {"Z": 12.0}
    assert image.units == {"X": "micrometer", "Y": "micrometer", "Z": "micrometer", "T": "second"}
    assert [channel.name for channel in image.channels] == ["DAPI", "GFP", "Light"]
    assert [channel.color for channel in image.channels] == ["0000FF", "00FF00", None]
    assert image.channels[0].window == pytest.approx((6553.5, 32767.5)) and image.channels[1].window is None
    assert [channel.shown for channel in image.channels] == [True, False, True]
    assert image.series_count == 1 and image.notes == ()


def test_regions_through_pickling_and_threads(stack: tuple[Path, np.ndarray]) -> None:
    path, pixels = stack
    image = pickle.loads(pickle.dumps(opened(path)))
    assert len(pickle.dumps(image.data)) < 1000  # the directory stays in the file
    regions = []
    for _ in range(40):
        low = [int(RNG.integers(0, length)) for length in pixels.shape]
        high = [int(RNG.integers(a + 1, length + 1)) for a, length in zip(low, pixels.shape, strict=True)]
        regions.append(tuple(slice(a, b) for a, b in zip(low, high, strict=True)))
    wrong: list[tuple[slice, ...]] = []

    def read(some: list[tuple[slice, ...]]) -> None:
        wrong.extend(region for region in some if not np.array_equal(image.read(region), pixels[region]))

    threads = [threading.Thread(target=read, args=(regions[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("codec", ["none", "zstd", "zstd header", "zstd bytes apart", "jpegxr"])
@pytest.mark.parametrize("color", [False, True])
def test_pixels_of_each_type_and_codec(tmp_path: Path, dtype: str, codec: str, color: bool) -> None:
    if dtype == "f4" and (color or codec == "jpegxr"):
        pytest.skip("no such file is known")
    pixels = noise(30, 40, 3, dtype=dtype) if color else noise(30, 40, dtype=dtype)
    bgr = np.ascontiguousarray(pixels[..., ::-1]) if color else pixels
    raw = bgr.tobytes()
    apart = bgr.view("u1").reshape(-1, 2).T.tobytes() if dtype == "u2" else raw
    code, data = {
        "none": (0, raw),
        "zstd": (5, imagecodecs.zstd_encode(raw)),
        "zstd header": (6, b"\x01" + imagecodecs.zstd_encode(raw)),
        "zstd bytes apart": (6, b"\x03\x01" + bytes([dtype == "u2"]) + imagecodecs.zstd_encode(apart)),
        "jpegxr": (4, b"" if dtype == "f4" else imagecodecs.jpegxr_encode(pixels, level=1.0)),
    }[codec]
    path = write_czi(tmp_path / "a.czi", [Block(bgr, at={"C": 0}, compression=code, data=data)])
    image = opened(path)
    assert image.axes == ("YXS" if color else "YX")
    np.testing.assert_array_equal(everything(image), pixels)
    part = (slice(3, 17), slice(11, 12), slice(0, 3))[: pixels.ndim]
    np.testing.assert_array_equal(image.read(part), pixels[part])


def test_tiles_lie_where_the_file_says_and_later_ones_on_top(tmp_path: Path) -> None:
    tiles = [noise(20, 30) for _ in range(3)]
    places = [(-5, 7), (10, 20), (4, 30)]
    blocks = [
        Block(tile, y, x, {"M": number, "C": 0})
        for number, (tile, (y, x)) in reversed(list(enumerate(zip(tiles, places, strict=True))))
    ]
    expected = np.zeros((35, 53), np.uint16)
    for tile, (y, x) in zip(tiles, places, strict=True):
        expected[y + 5 : y + 25, x - 7 : x + 23] = tile
    image = opened(write_czi(tmp_path / "mosaic.czi", blocks))
    np.testing.assert_array_equal(everything(image), expected)
    np.testing.assert_array_equal(image.read((slice(8, 22), slice(10, 40))), expected[8:22, 10:40])
    assert image.chunks == (20, 30)
    assert any("leave parts of the image out" in note for note in image.notes)


def test_tiles_that_cover_the_image_are_no_gap(tmp_path: Path) -> None:
    blocks = [Block(noise(20, 30), y, x, {"M": n}) for n, (y, x) in enumerate([(0, 0), (0, 28), (18, 0), (18, 28)])]
    assert opened(write_czi(tmp_path / "mosaic.czi", blocks)).notes == ()


def test_scenes_by_number_and_name(tmp_path: Path) -> None:
    scenes = [noise(20, 30), noise(24, 16), noise(8, 9)]
    blocks = [Block(p, 100 * n, 50 * n, {"S": n, "M": 0}) for n, p in enumerate(scenes)]
    xml = czi_xml({"X": 1e-6, "Y": 1e-6}, scenes=[("left", "100,200"), ("right", "-3.5,40"), ("left", "nan,1")])
    path = write_czi(tmp_path / "scenes.czi", blocks, xml)
    for number, pixels in enumerate(scenes):
        image = opened(path, series=number)
        np.testing.assert_array_equal(everything(pickle.loads(pickle.dumps(image))), pixels)
        assert image.series_count == 3 and image.series_names == ("left", "right", "left")
    named = opened(path, series="right")
    assert named.shape == (24, 16) and named.name == "scenes.czi [right]"
    assert named.origin == {"Y": 40 - 11.5, "X": -3.5 - 7.5}  # the centre of the first pixel
    assert opened(path, series=2).origin == {}
    with pytest.raises(SourceError, match=r"'top' is not in .*scenes.czi: it has 3, .*0 'left', 1 'right', 2 'left'"):
        opened(path, series="top")
    with pytest.raises(SourceError, match=r"several series 'left'; choose one by its number"):
        opened(path, series="left")
    with pytest.raises(SourceError, match="series 3 is not in"):
        opened(path, series=3)


@pytest.mark.parametrize(
    ("letter", "word"), [("H", "phase"), ("V", "view"), ("I", "illumination"), ("R", "rotation"), ("B", "block")]
)
def test_other_dimensions_are_images_of_their_own(tmp_path: Path, letter: str, word: str) -> None:
    pixels = noise(3, 2, 20, 30)
    blocks = [Block(pixels[n, z], at={letter: n, "Z": z}) for n, z in np.ndindex(3, 2)]
    path = write_czi(tmp_path / "more.czi", blocks)
    image = opened(path, series=f"{word} 2")
    np.testing.assert_array_equal(everything(image), pixels[2])
    assert image.series_count == 3 and image.series_names == (f"{word} 0", f"{word} 1", f"{word} 2")


def test_scenes_and_detectors_and_types_of_pixels_together(tmp_path: Path) -> None:
    gray, colored = noise(2, 2, 20, 30), noise(2, 2, 20, 30, 3, dtype="u1")
    blocks = [Block(gray[s, h], at={"S": s, "H": h, "C": 0}) for s, h in np.ndindex(2, 2)]
    blocks += [Block(colored[s, h][..., ::-1], at={"S": s, "H": h, "C": 1}) for s, h in np.ndindex(2, 2)]
    path = write_czi(tmp_path / "all.czi", blocks)
    names = opened(path).series_names
    assert len(names) == 8 and names[0] == "scene 0, phase 0, Gray16" and names[-1] == "scene 1, phase 1, Bgr24"
    np.testing.assert_array_equal(everything(opened(path, series="scene 1, phase 0, Gray16")), gray[1, 0])
    np.testing.assert_array_equal(everything(opened(path, series="scene 0, phase 1, Bgr24")), colored[0, 1])


def test_each_channel_of_colour_is_an_image(tmp_path: Path) -> None:
    pixels = noise(2, 20, 30, 3, dtype="u1")
    xml = czi_xml(channels=[{"Name": "Bright"}, {"Name": "Pol"}])
    path = write_czi(tmp_path / "c.czi", [Block(pixels[c][..., ::-1], at={"C": c}) for c in range(2)], xml)
    image = opened(path, series="Pol")
    assert image.axes == "YXS" and [channel.name for channel in image.channels] == ["Pol"]
    np.testing.assert_array_equal(everything(image), pixels[1])


def test_levels(tmp_path: Path) -> None:
    pixels = noise(2, 61, 90)
    half, quarter = noise(2, 31, 45), noise(2, 16, 23)
    blocks = [Block(p, 7, 3, {"C": c, "S": 0, "M": 0}) for c, p in enumerate(pixels)]
    blocks += [Block(half[c, :, :20], 7, 3, {"C": c, "S": 0}, size=(61, 40)) for c in range(2)]
    blocks += [Block(half[c, :, 20:], 7, 43, {"C": c, "S": 0}, size=(61, 50)) for c in range(2)]
    blocks += [Block(quarter[c], 7, 3, {"C": c, "S": 0}, size=(61, 90)) for c in range(2)]
    xml = czi_xml({"X": 1e-6, "Y": 2e-6}, scenes=[("a", "44.5,60")])
    path = write_czi(tmp_path / "levels.czi", blocks, xml)
    for level, expected in enumerate([pixels, half, quarter]):
        image = opened(path, level=level)
        np.testing.assert_array_equal(everything(pickle.loads(pickle.dumps(image))), expected)
        assert image.pixel_size == {"X": 2.0**level, "Y": 2 * 2.0**level}
        # The outer corner of the first pixel is the same at every level.
        assert image.origin.get("X", 0.0) - image.pixel_size["X"] / 2 == pytest.approx(-0.5)
        assert image.origin.get("Y", 0.0) - image.pixel_size["Y"] / 2 == pytest.approx(60 - 61)
    with pytest.raises(SourceError, match=r"level 3 is not in .* it has 3"):
        opened(path, level=3)


def test_a_part_of_a_longer_experiment(tmp_path: Path) -> None:
    pixels = noise(2, 3, 2, 20, 30)
    blocks = [Block(pixels[t, z, c], at={"T": t + 5, "Z": z + 2, "C": 3 * c}) for t, z, c in np.ndindex(2, 3, 2)]
    image = opened(write_czi(tmp_path / "part.czi", blocks))
    np.testing.assert_array_equal(everything(image), pixels.transpose(0, 2, 1, 3, 4))


def test_planes_that_are_not_there_are_said_and_cannot_be_read(tmp_path: Path) -> None:
    pixels = noise(3, 2, 20, 30)
    blocks = [Block(pixels[t, z], at={"T": t, "Z": z}) for t, z in np.ndindex(3, 2)][:-1]
    image = opened(write_czi(tmp_path / "stopped.czi", blocks))
    assert image.notes == ("1 of 6 planes are not in the file and cannot be read.",)
    np.testing.assert_array_equal(image.read((slice(0, 2), *map(slice, image.shape[1:]))), pixels[:2])
    with pytest.raises(ChunkError, match="the plane T 2, Z 1 is not in the file"):
        everything(image)


def test_a_file_without_its_directory(tmp_path: Path) -> None:
    pixels = noise(4, 20, 30)
    path = write_czi(tmp_path / "cut.czi", [Block(p, at={"Z": z}) for z, p in enumerate(pixels)], directory=False)
    image = opened(path)
    np.testing.assert_array_equal(everything(image), pixels)
    assert "no directory" in image.notes[0]


def test_time_steps_from_time_stamps(tmp_path: Path) -> None:
    blocks = [Block(noise(20, 30), at={"T": t}) for t in range(4)]
    even = opened(write_czi(tmp_path / "even.czi", blocks, czi_xml(), time_stamps=[7.0, 9.01, 10.99, 13.0]))
    assert even.pixel_size == {"T": pytest.approx(2.0)} and even.notes == ()
    uneven = opened(write_czi(tmp_path / "uneven.czi", blocks, czi_xml(), time_stamps=[0.0, 1.0, 2.0, 9.0]))
    assert uneven.pixel_size == {"T": pytest.approx(3.0)}
    assert "from 1 to 7 s; their mean is used" in uneven.notes[0]
    other = opened(write_czi(tmp_path / "other.czi", blocks, czi_xml(), time_stamps=[0.0, 1.0]))
    assert other.pixel_size == {}


@pytest.mark.parametrize("xml", ["", "<ImageDocument/>", czi_xml({"X": 0, "Y": float("nan")}), "<Image"])
def test_metadata_that_lack_are_unknown(tmp_path: Path, xml: str) -> None:
    image = opened(write_czi(tmp_path / "bare.czi", [Block(noise(20, 30), at={"C": 0})], xml))
    assert image.pixel_size == {} and image.origin == {} and image.units == {} and image.channels == ()
    assert bool(image.notes) == (xml == "<Image")


@pytest.mark.parametrize(("code", "name"), [(1, "JPEG"), (2, "LZW"), (107, "raw data of a camera")])
def test_a_codec_that_is_not_known_is_unsupported_not_damaged(tmp_path: Path, code: int, name: str) -> None:
    path = write_czi(tmp_path / "a.czi", [Block(noise(20, 30), compression=code)])
    with pytest.raises(SourceError, match=rf"compressed with {name}.*not supported; export") as caught:
        opened(path)
    assert "damaged" not in str(caught.value)


@pytest.mark.parametrize("code", [8, 9, 10, 12, 99])
def test_a_type_of_pixels_that_is_not_known_is_unsupported(tmp_path: Path, code: int) -> None:
    path = write_czi(tmp_path / "a.czi", [Block(noise(20, 30), pixel_type=code)])
    with pytest.raises(SourceError, match=f"pixels of type {code} .*not supported; export"):
        opened(path)


def test_damage_is_named(tmp_path: Path) -> None:
    path = write_czi(tmp_path / "a.czi", [Block(noise(20, 30), at={"Z": z}) for z in range(2)])
    image, whole = opened(path), path.read_bytes()
    path.write_bytes(whole[:1500])
    with pytest.raises(ChunkError, match="truncated"):
        everything(image)
    with pytest.raises(SourceError):
        opened(path)
    path.write_bytes(whole.replace(b"ZISRAWSUBBLOCK", b"DELETED-------"))
    with pytest.raises(ChunkError, match="no sub-block at this position"):
        everything(opened(path))
    bad = Block(noise(20, 30), compression=5, data=b"no zstd")
    with pytest.raises(ChunkError, match="is damaged"):
        everything(opened(write_czi(path, [bad])))
    with pytest.raises(SourceError, match="part 2 of an image in several files"):
        opened(write_czi(path, [bad], part=2))
    with pytest.raises(SourceError, match="holds no image"):
        opened(write_czi(path, []))


def test_axes_must_be_those_of_the_file(stack: tuple[Path, np.ndarray]) -> None:
    assert opened(stack[0], axes="tczyx").axes == "TCZYX"
    with pytest.raises(AxesError, match="has the axes TCZYX, not 'ZYX'"):
        opened(stack[0], axes="ZYX")


def test_what_is_recognised(tmp_path: Path, stack: tuple[Path, np.ndarray]) -> None:
    other = tmp_path / "renamed.dat"
    other.write_bytes(stack[0].read_bytes())
    assert czi.recognises(str(stack[0])) and czi.recognises(str(other))
    (tmp_path / "a.czi").write_bytes(b"II*\0")
    others = [str(tmp_path), str(tmp_path / "a.czi"), str(tmp_path / "no.czi"), np.zeros(3), None]
    assert not any(map(czi.recognises, others))


def test_a_crop_reads_no_more_than_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(64, 512, 512)
    path = write_czi(tmp_path / "deep.czi", [Block(p, at={"Z": z}) for z, p in enumerate(pixels)])
    image = opened(path)
    seen: list[tuple[int, ...]] = []
    allocate = np.empty

    def counted(shape: tuple[int, ...], dtype: object = float) -> np.ndarray:
        seen.append(tuple(np.atleast_1d(shape)))
        return allocate(shape, dtype)  # type: ignore[arg-type]

    monkeypatch.setattr(np, "empty", counted)
    np.testing.assert_array_equal(image.read((slice(7, 8), slice(0, 32), slice(0, 32))), pixels[7:8, :32, :32])
    assert max(int(np.prod(shape)) for shape in seen) <= 32 * 512
