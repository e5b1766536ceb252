"""Chunks that are called otherwise than the metadata say, and arrays without any."""

import json
import pickle
import shutil

import numpy as np
import pytest
import zarr

from napari_restore import api
from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).integers(1, 2**16, (2, 32, 48)).astype("u2")


def write(path, zarr_format, separator, **more):
    names = {"dimension_names": tuple("zyx")} if zarr_format == 3 else {}
    encoding = {"name": "v2" if zarr_format == 2 else "default", "separator": separator}
    array = zarr.create_array(
        path, shape=PIXELS.shape, chunks=(1, 16, 16), dtype="u2", zarr_format=zarr_format, chunk_key_encoding=encoding,
        **names, **more,
    )  # fmt: skip
    if zarr_format == 2:
        array.attrs["_ARRAY_DIMENSIONS"] = list("zyx")
    array[:] = PIXELS
    return path


def claim(path, zarr_format, separator):
    """Let the metadata say that chunks are called otherwise, or nothing."""
    name = path / (".zarray" if zarr_format == 2 else "zarr.json")
    content = json.loads(name.read_text())
    if zarr_format == 2:
        del content["dimension_separator"]
        if separator:
            content["dimension_separator"] = separator
    else:
        content["chunk_key_encoding"]["configuration"]["separator"] = separator
    name.write_text(json.dumps(content))


@pytest.mark.parametrize("first_is_there", [True, False])
@pytest.mark.parametrize(
    ("zarr_format", "is_", "said"), [(2, "/", None), (2, "/", "."), (2, ".", "/"), (3, "/", "."), (3, ".", "/")]
)
def test_chunks_are_found_where_they_are(tmp_path, zarr_format, is_, said, first_is_there):
    path, expected = write(tmp_path / "a.zarr", zarr_format, is_), PIXELS.copy()
    claim(path, zarr_format, said)
    if not first_is_there:
        prefix = "c" + is_ if zarr_format == 3 else ""
        (path / (prefix + is_.join("000"))).unlink()
        expected[0, :16, :16] = 0
    image = open_image(path)
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(one.read((slice(None),) * 3), expected)
    assert "not called as the metadata say" in image.notes[0]


@pytest.mark.parametrize("separator", ["/", "."])
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_without_a_chunk_is_refused_before_anything_is_made(tmp_path, zarr_format, separator):
    path = write(tmp_path / "a.zarr", zarr_format, separator)
    for entry in path.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        elif not entry.name.startswith((".z", "zarr")):
            entry.unlink()
    with pytest.raises(SourceError, match="not one chunk"):
        api.denoise(path, output=tmp_path / "out.zarr")
    assert not (tmp_path / "out.zarr").exists()
    with pytest.raises(SourceError, match="not one chunk"):
        open_image(f"file://{path}")
    (path / "c/0").mkdir(parents=True)
    with pytest.raises(SourceError, match="not one chunk"):
        open_image(path)


@pytest.mark.parametrize("more", [{}, {"shards": (2, 32, 32)}])
def test_a_part_that_is_there_is_enough(tmp_path, more):
    path = write(tmp_path / "a.zarr", 3, "/", **more)
    for entry in sorted((path / "c").rglob("*"))[:-1]:
        if entry.is_file():
            entry.unlink()
    image = open_image(path)
    assert not image.notes and image.read((slice(None),) * 3).any()


def test_arrays_in_memory():
    with pytest.raises(SourceError, match="not one chunk"):
        open_image(zarr.create_array({}, shape=(64, 64), dtype="u2"))
    assert open_image(zarr.create_array({}, data=PIXELS[0])).shape == (32, 48)


def test_links_that_go_round_do_not_multiply(tmp_path):
    """Two links to their own folder would be 2^40 folders."""
    path = tmp_path / "a.zarr"
    write(path, 3, "/")
    shutil.rmtree(path / "c")
    (path / "c").mkdir()
    for name in ("0", "1"):
        (path / "c" / name).symlink_to(".")
    with pytest.raises(SourceError):
        open_image(path)
