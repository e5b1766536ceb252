import os
import pickle
from pathlib import Path
from typing import Any

import google_crc32c
import numcodecs
import numpy as np
import pytest
import zarr

from napari_restore.errors import ChunkError, SourceError, SourceLost
from napari_restore.images.collection import read_collection
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).poisson(100, (2, 64, 64)).astype(np.uint16)
ALL = (slice(None),) * 3
CHUNK = "c/0/0/0"


def stored(path: Path, **settings: Any) -> Path:
    array = zarr.create_array(
        path, shape=PIXELS.shape, dtype="u2", chunks=(1, 32, 32), dimension_names=("z", "y", "x"), **settings
    )
    array[:] = PIXELS
    return path


def replaced(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("settings", [
    {}, {"compressors": zarr.codecs.GzipCodec()}, {"compressors": zarr.codecs.BloscCodec()}, {"compressors": None},
    {"shards": (2, 64, 64)}, {"filters": [zarr.codecs.TransposeCodec(order=(2, 1, 0))]},
])  # fmt: skip
def test_pixels_are_those_that_zarr_reads(tmp_path: Path, settings: dict[str, Any]) -> None:
    image = open_image(stored(tmp_path / "a.zarr", **settings))
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(one.read(ALL), PIXELS)


@pytest.mark.parametrize("compressor", [numcodecs.Blosc(), numcodecs.Zlib(), numcodecs.Zstd(), None])
def test_pixels_of_version_2_are_those_that_zarr_reads(tmp_path: Path, compressor: Any) -> None:
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=(64, 64), dtype="u2", chunks=(32, 32), zarr_format=2, compressors=compressor,
        filters=[numcodecs.Delta("<u2")],
    )  # fmt: skip
    array[:] = PIXELS[0]
    np.testing.assert_array_equal(open_image(tmp_path / "a.zarr").read(ALL[:2]), PIXELS[0])


@pytest.mark.parametrize("settings", [{}, {"compressors": zarr.codecs.GzipCodec()}, {"shards": (2, 64, 64)}])
def test_a_chunk_that_would_become_more_than_a_chunk_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    path = stored(tmp_path / "a.zarr", **settings)
    image = open_image(path)
    if "shards" in settings:  # its first chunk is replaced, with the index and the checksum of the index behind it
        bomb = bytes(numcodecs.Zstd(9).encode(bytes(10**8)))
        index = np.full((2, 2, 2, 2), 2**64 - 1, "<u8")
        index[0, 0, 0] = 0, len(bomb)
        checksum = google_crc32c.value(index.tobytes()).to_bytes(4, "little")
        replaced(path / CHUNK, bomb + index.tobytes() + checksum)
    else:
        codec = numcodecs.GZip(9) if settings else numcodecs.Zstd(9)
        replaced(path / CHUNK, bytes(codec.encode(bytes(5 * 10**7))))
    with pytest.raises(ChunkError, match=r"chunk \(0, 0, 0\).* says that a chunk has 2048"):
        image.read(ALL)


def test_an_object_far_larger_than_a_chunk_is_not_read(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.zarr")
    os.truncate(path / CHUNK, 2**30)
    with pytest.raises(ChunkError, match=r"has 1\.1 GB, and by what the image says 69\.7 kB"):
        open_image(path).read(ALL)


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "pipe", "../other"])
def test_a_chunk_that_is_a_link_out_of_the_array_or_no_file_is_refused(tmp_path: Path, target: str) -> None:
    path = stored(tmp_path / "a.zarr")
    (tmp_path / "other").write_bytes(bytes(2048))
    (path / CHUNK).unlink()
    if target == "pipe":
        os.mkfifo(path / CHUNK)
    else:
        (path / CHUNK).symlink_to(tmp_path / "other" if target.startswith("..") else target)
    with pytest.raises(SourceError, match=r"outside its folder|no regular file") as caught:
        open_image(path).read(ALL)
    assert not isinstance(caught.value, ChunkError)  # on_error="fill" would go on


def test_links_within_an_array_are_followed_and_others_if_that_is_allowed(tmp_path: Path) -> None:
    path, other = stored(tmp_path / "a.zarr"), stored(tmp_path / "b.zarr")
    (path / CHUNK).rename(path / "kept")
    (path / CHUNK).symlink_to(path / "kept")
    np.testing.assert_array_equal(open_image(path).read(ALL), PIXELS)
    (path / CHUNK).unlink()
    (path / CHUNK).symlink_to(other / CHUNK)
    image = open_image(path, allow_outside=True)
    for one in (image, pickle.loads(pickle.dumps(image))):
        np.testing.assert_array_equal(one.read(ALL), PIXELS)


def test_metadata_that_are_a_pipe_are_refused(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.zarr")
    (path / "zarr.json").unlink()
    os.mkfifo(path / "zarr.json")
    with pytest.raises(SourceError, match=r"not a Zarr|no regular file"):
        open_image(path)
    group = tmp_path / "plate.zarr"
    zarr.create_group(group, attributes={"ome": {"version": "0.5", "plate": {}}})
    (group / "zarr.json").rename(tmp_path / "metadata")
    (group / "zarr.json").symlink_to(tmp_path / "metadata")
    with pytest.raises(SourceError, match="outside its folder"):
        read_collection(str(group))


def test_a_chunk_is_missing_only_while_its_array_is_there(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.zarr", fill_value=7)
    image = open_image(path)
    (path / CHUNK).unlink()
    assert (image.read(ALL)[0, :32, :32] == 7).all()  # by the rules of Zarr
    path.rename(tmp_path / "moved.zarr")
    with pytest.raises(SourceLost, match="is not there any more"):
        image.read(ALL)
    (tmp_path / "a.zarr").mkdir()  # where a disk was mounted, there is a folder
    with pytest.raises(SourceLost, match="Nothing is taken for empty"):
        image.read(ALL)
    (tmp_path / "a.zarr").rmdir()
    (tmp_path / "moved.zarr").rename(path)
    np.testing.assert_array_equal(image.read(ALL)[1], PIXELS[1])


def test_another_array_in_its_place_is_not_taken_for_it(tmp_path: Path) -> None:
    path = stored(tmp_path / "a.zarr")
    image = open_image(path)
    path.rename(tmp_path / "moved.zarr")
    zarr.create_array(path, shape=(2, 64, 64), dtype="u1", chunks=(1, 64, 64))
    with pytest.raises(SourceLost, match="another array now"):
        image.read(ALL)


def test_an_array_in_an_object_store_that_is_gone_is_not_taken_for_empty() -> None:
    import fsspec

    array = zarr.create_array("memory://gone.zarr", shape=(64, 64), dtype="u2", chunks=(32, 32), overwrite=True)
    array[:] = 5
    image = open_image("memory://gone.zarr")
    fsspec.filesystem("memory").rm("/gone.zarr", recursive=True)
    with pytest.raises(SourceLost, match="is not there any more"):
        image.read(ALL[:2])
