import pickle

import numpy as np
import pytest
import tifffile

from napari_restore.errors import AxesError, ChunkError, SourceError
from napari_restore.images.opening import open_image


def write(folder, names, shape=(20, 30), **options):
    pixels = np.random.default_rng(0).integers(0, 2**16, (len(names), *shape)).astype("u2")
    for name, plane in zip(names, pixels, strict=True):
        tifffile.imwrite(folder / name, plane, **options)
    return pixels


def whole(image):
    return image.read((slice(None),) * len(image.axes))


def test_one_wildcard_with_numbers_of_any_length(tmp_path):
    pixels = write(tmp_path, [f"img_t{n}.tif" for n in range(12)])
    image = open_image(str(tmp_path / "img_t*.tif"))
    assert image.axes == "TYX" and image.chunks == (1, 20, 30)
    np.testing.assert_array_equal(whole(image), pixels)
    np.testing.assert_array_equal(image.read((slice(3, 5), slice(1, 4), slice(2, 7))), pixels[3:5, 1:4, 2:7])
    np.testing.assert_array_equal(whole(pickle.loads(pickle.dumps(image))), pixels)


def test_two_wildcards_over_stacks(tmp_path):
    names = [f"run7_ch{c}_time{t:03}.tif" for c in (405, 488, 640) for t in (0, 5, 10, 15)]
    options = {"imagej": True, "metadata": {"axes": "ZYX", "spacing": 2.0, "unit": "um"}, "resolution": (4, 4)}
    pixels = write(tmp_path, names, (2, 8, 9), **options)
    image = open_image(tmp_path / "run7_ch*_time???.tif")
    assert image.axes == "CTZYX" and image.canonical == "TCZYX"
    assert image.pixel_size == {"Z": 2.0, "Y": 0.25, "X": 0.25}
    np.testing.assert_array_equal(whole(image), pixels.reshape(3, 4, 2, 8, 9).swapaxes(0, 1))


def test_unnamed_wildcard_needs_axes_and_sorts_naturally(tmp_path):
    pixels = write(tmp_path, [f"frame {n}.tif" for n in range(11)], compression="zlib")
    pattern = tmp_path / "frame*.tif"
    with pytest.raises(AxesError, match="write the letter in front"):
        open_image(pattern)
    image = open_image(pattern, axes="ZYX")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(whole(image), pixels)


def test_missing_files_are_told_and_not_filled(tmp_path):
    write(tmp_path, [f"a_t{n}.tif" for n in (1, 2, 3, 5, 6)])
    with pytest.raises(SourceError, match="missing along T after number 3"):
        open_image(tmp_path / "a_t*.tif")
    write(tmp_path, ["b_t1_c1.tif", "b_t1_c2.tif", "b_t2_c2.tif"])
    with pytest.raises(SourceError, match="T 2, C 1 is missing"):
        open_image(tmp_path / "b_t*_c*.tif")


def test_file_without_a_number_is_told(tmp_path):
    write(tmp_path, ["a_t1.tif", "a_t2.tif", "a_total.tif"])
    with pytest.raises(SourceError, match="a_total"):
        open_image(tmp_path / "a_t*.tif")


def test_no_file_matches(tmp_path):
    with pytest.raises(SourceError, match="no file matches"):
        open_image(tmp_path / "a_t*.tif")


def test_axis_of_file_and_wildcard_may_not_be_the_same(tmp_path):
    write(tmp_path, ["a_t1.tif", "a_t2.tif"], (4, 8, 9), metadata={"axes": "TYX"}, photometric="minisblack")
    with pytest.raises(AxesError, match="'T' twice"):
        open_image(tmp_path / "a_t*.tif")


@pytest.mark.parametrize("content", [b"II*\0broken", None])
def test_a_bad_file_is_named_when_it_is_read(tmp_path, content):
    write(tmp_path, [f"a_t{n}.tif" for n in range(3)])
    bad = tmp_path / "a_t1.tif"
    if content is None:
        tifffile.imwrite(bad, np.zeros((9, 9), "u2"))
    else:
        bad.write_bytes(content)
    image = open_image(tmp_path / "a_t*.tif")
    image.read((slice(0, 1), slice(None), slice(None)))
    with pytest.raises(ChunkError, match=r"a_t1\.tif"):
        whole(image)


def test_more_files_than_stay_open(tmp_path):
    pixels = write(tmp_path, [f"z{n}.tif" for n in range(20)], compression="zlib")
    image = open_image(tmp_path / "z*.tif")
    for _ in range(2):
        np.testing.assert_array_equal(whole(image), pixels)
    assert len(image.data._opened) == 16


@pytest.mark.parametrize("folder", ["day [2024]", "exp [a]", "]x[", "[t]"])
@pytest.mark.parametrize("escaped", [False, True])
def test_brackets_in_names_are_no_wildcards(tmp_path, folder, escaped):
    (tmp_path / folder).mkdir()
    pixels = write(tmp_path / folder, [f"[a]_t{n}.tif" for n in range(3)])
    pattern = f"{folder}/[a]_t*.tif"
    pattern = pattern.replace("[", "[[]") if escaped else pattern
    image = open_image(f"{tmp_path}/{pattern}")
    np.testing.assert_array_equal(whole(image), pixels)


@pytest.mark.parametrize(
    ("names", "pattern", "axes", "channels"),
    [
        ("exp_w{c}_t{t}.tif", "exp_w*_t*.tif", "CTYX", ()),
        ("img_t{t:03}_{word}.tif", "img_t*_*.tif", "TCYX", ("phase", "red")),
        ("img_{t:09}_{word}_000.tif", "img_*_*_000.tif", "TCYX", ("phase", "red")),
        ("exp_w{c}{word}_s1_t{t}.tif", "exp_w*_s1_t*.tif", "CTYX", ("1phase", "2red")),
        ("{word}/T{t}.tif", "*/T*.tif", "CTYX", ("phase", "red")),
    ],
)
def test_axes_name_the_wildcards(tmp_path, names, pattern, axes, channels):
    files = [names.format(t=t, c=c + 1, word=("phase", "red")[c]) for t in range(3) for c in range(2)]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
    pixels = write(tmp_path, files, photometric="minisblack").reshape(3, 2, 20, 30)
    image = open_image(tmp_path / pattern, axes=axes)
    assert image.axes == axes and tuple(channel.name for channel in image.channels) == channels
    np.testing.assert_array_equal(whole(image), pixels)
    if axes == "TCYX" and pattern != "img_*_*_000.tif":
        with pytest.raises(AxesError, match=r"pass axes= .* such as 'TCYX'"):
            open_image(tmp_path / pattern)
