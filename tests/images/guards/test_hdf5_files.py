import os
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from napari_restore.errors import ChunkError, SourceError
from napari_restore.images.guards.hdf5_files import check_chunks
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).poisson(100, (64, 64)).astype(np.uint16)
BOTH = (slice(None),) * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a data set, beside another folder with one."""
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
        with h5py.File(tmp_path / name / "raw.h5", "w") as file:
            file["d"] = PIXELS + (name == "other")
        (tmp_path / name / "raw.bin").write_bytes((PIXELS + (name == "other")).tobytes())
    return tmp_path / "mine"


def written(folder: Path, fill: Callable[[Any], Any]) -> str:
    with h5py.File(folder / "cells.h5", "w") as file:
        fill(file)
    return str(folder / "cells.h5")


def linked(name: str) -> Callable[[Any], Any]:
    return lambda file: file.__setitem__("d", h5py.ExternalLink(name.replace("bin", "h5"), "/d"))


def stored(name: str) -> Callable[[Any], Any]:
    return lambda file: file.create_dataset("d", (64, 64), "u2", external=[(name.replace("h5", "bin"), 0, 8192)])


def virtual(name: str) -> Callable[[Any], Any]:
    layout = h5py.VirtualLayout((64, 64), "u2")
    layout[:] = h5py.VirtualSource(name.replace("bin", "h5"), "d", (64, 64))
    return lambda file: file.create_virtual_dataset("d", layout)


KINDS = [linked, stored, virtual]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_in_the_folder_is_read(folder: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)  # external storage is looked for there
    image = open_image(written(folder, kind("raw.h5")) + ("::/d" if kind is linked else ""))
    np.testing.assert_array_equal(image.read(BOTH), PIXELS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["name", "relative", "link"])
def test_what_is_elsewhere_is_refused_unless_it_is_allowed(
    folder: Path, kind: Any, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    other = folder.with_name("other")
    names = {"name": str(other / "raw.h5"), "relative": "../other/raw.h5", "link": "there.h5"}
    (folder / "there.h5").symlink_to(other / "raw.h5")
    (folder / "there.bin").symlink_to(other / "raw.bin")
    path = written(folder, kind(names[by]))
    with pytest.raises(SourceError, match=r"outside its folder .*allow_outside"):
        open_image(path)
    image = open_image(path, allow_outside=True)
    np.testing.assert_array_equal(image.read(BOTH), PIXELS + 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_is_refused_and_not_waited_for(folder: Path, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for name in ("pipe.h5", "pipe.bin"):
        os.mkfifo(folder / name)
    with pytest.raises(SourceError, match="is a pipe"):
        open_image(written(folder, kind("pipe.h5")), allow_outside=True)


def test_a_file_that_is_replaced_after_it_was_opened_is_looked_at_again(folder: Path) -> None:
    image = open_image(written(folder, lambda file: file.__setitem__("d", PIXELS)))
    written(folder, stored(str(folder.with_name("other") / "raw.bin")))
    with pytest.raises(SourceError, match="outside its folder"):
        image.read(BOTH)


def test_a_virtual_data_set_of_a_file_that_is_not_there_is_no_zeros(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"made of gone\.h5, which is not there, and would be taken for zeros"):
        open_image(written(folder, virtual("gone.h5")))


@pytest.mark.parametrize("name", [".", "cells.h5"])
def test_a_virtual_data_set_of_itself_is_refused(folder: Path, name: str) -> None:
    """The library would go round until the stack is full, and end the process."""
    with pytest.raises(SourceError, match="is made of itself"):
        open_image(written(folder, virtual(name)))


def test_virtual_data_sets_of_each_other_are_refused(folder: Path) -> None:
    with h5py.File(folder / "raw.h5", "w") as file:
        virtual("cells.h5")(file)
    with pytest.raises(SourceError, match="is made of itself"):
        open_image(written(folder, virtual("raw.h5")))


def test_what_a_virtual_data_set_is_made_of_is_followed_to_the_end(folder: Path) -> None:
    with h5py.File(folder / "raw.h5", "w") as file:
        stored(str(folder.with_name("other") / "raw.bin"))(file)
    with pytest.raises(SourceError, match="outside its folder"):
        open_image(written(folder, virtual("raw.h5")))
    with pytest.raises(SourceError, match="outside its folder"):
        open_image(written(folder, linked("raw.h5")))


def test_links_in_a_circle_are_told(folder: Path) -> None:
    def circle(file: Any) -> None:
        file["a"], file["b"] = h5py.SoftLink("/b"), h5py.SoftLink("/a")

    with pytest.raises(SourceError, match="go round in a circle"):
        open_image(f"{written(folder, circle)}::/a")


def test_a_chunk_that_would_become_more_than_a_chunk_is_refused(folder: Path) -> None:
    import zlib

    path = written(folder, lambda file: file.create_dataset("d", (64, 64), "u2", chunks=(32, 64), compression="gzip"))
    with h5py.File(path, "a") as file:
        file["d"][:] = PIXELS
        file["d"].id.write_direct_chunk((32, 0), zlib.compress(bytes(10**9), 9)[:80_000])
    image = open_image(path)
    np.testing.assert_array_equal(image.read((slice(0, 32), slice(None))), PIXELS[:32])
    with pytest.raises(ChunkError, match=r"chunk \(1, 0\).* decoded|chunk \(1, 0\).*would become"):
        image.read(BOTH)


def test_the_time_to_check_a_chunk_does_not_grow_with_their_number(tmp_path: Path) -> None:
    """HDF5 goes through all chunks for the information on one of them: then a run takes time by their square."""
    count, stored = 30_000, zlib.compress(bytes(8))
    with h5py.File(tmp_path / "many.h5", "w") as file:
        dataset = file.create_dataset("d", (2 * count, 4), "u1", chunks=(2, 4), compression="gzip")
        for place in range(0, 2 * count, 2):
            dataset.id.write_direct_chunk((place, 0), stored)
    with h5py.File(tmp_path / "many.h5") as file:
        dataset = file["d"]

        def seconds(place: int) -> float:
            began = time.process_time()
            check_chunks(dataset, (slice(place, place + 2), slice(0, 4)))
            return time.process_time() - began

        first, last = (min(seconds(place) for _ in range(9)) for place in (0, 2 * count - 2))
        assert last < 10 * first + 1e-4


def test_chunks_that_are_not_stored_are_no_fault(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "sparse.h5", "w") as file:
        some = file.create_dataset("some", (10, 10), "u2", chunks=(5, 5), compression="gzip", fillvalue=3)
        some[:5, :5] = 7
        file.create_dataset("none", (10, 10), "u2", chunks=(5, 5), compression="gzip", fillvalue=3)
    expected = np.full((10, 10), 3)
    assert np.array_equal(open_image(f"{tmp_path}/sparse.h5::none").read(BOTH), expected)
    expected[:5, :5] = 7
    assert np.array_equal(open_image(f"{tmp_path}/sparse.h5::some").read(BOTH), expected)
