from __future__ import annotations

import os
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_restore.errors import SourceError
from napari_restore.images.guards import separate_process
from napari_restore.images.guards.separate_process import check_opens
from napari_restore.images.opening import open_image
from napari_restore.images.readers import imaris

LIBRARY = """
import os, signal, sys, time
def well(source): open(source + ".log", "a").write("tried\\n")
def not_python(source): well(source); os.kill(os.getpid(), signal.SIGSEGV)
def endless(source):
    well(source)
    while True: pass
def still(source): well(source); time.sleep(60)
def wrong(source): well(source); raise ValueError(source)
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "a_library.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "image").write_text("x")
    return str(tmp_path / "image")


def tried(file: str) -> int:
    return len(Path(f"{file}.log").read_text().splitlines())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("not_python", r"image makes the library that reads it crash \(SIGSEGV\), so it is damaged; copy"),
        ("endless", r"image was not opened within 1 s of the processor: .*name one dataset as FILE::/DATASET"),
        ("still", r"image was not opened within 2 s: "),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_what_a_library_does_to_its_process_is_an_error_here(
    file: str, function: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(separate_process, "SECONDS", 1)
    if function == "still":
        monkeypatch.setattr(separate_process, "PATIENCE", 2.0)
    for _ in range(2):  # the answer is kept
        with pytest.raises(SourceError, match=said):
            check_opens(file, file, "a_library", function)
    assert tried(file) == 1


def test_a_file_is_tried_once_until_it_changes(file: str) -> None:
    for _ in range(2):
        check_opens(file, file, "a_library", "well")
    assert tried(file) == 1
    Path(file).write_text("other")
    check_opens(file, file, "a_library", "well")
    assert tried(file) == 2


def test_an_error_of_python_is_left_to_the_caller(file: str) -> None:
    check_opens(file, file, "a_library", "wrong")
    check_opens(f"{file}.no", f"{file}.no", "a_library", "well")
    assert tried(file) == 1, "what does not exist is not tried"


@pytest.mark.skipif(os.name == "nt", reason="limits of processor time")
@pytest.mark.parametrize("name", ["circle.h5", "circle.ims", "circle.h5::/b"])
def test_an_hdf5_file_whose_groups_go_round_in_a_circle_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The HDF5 library follows such a group for ever; of a dataset that is named only its own path is followed."""
    path = tmp_path / name.partition("::")[0]
    with h5py.File(path, "w") as written:
        for inside in ("a", "b", "DataSet/a"):
            written[inside] = np.zeros((8, 8), np.uint16)
    content = bytearray(path.read_bytes())
    node = content.index(b"TREE") if path.suffix == ".h5" else content.rindex(b"TREE")
    content[node + 16 : node + 24] = node.to_bytes(8, "little")  # its right neighbour is itself
    path.write_bytes(content)
    monkeypatch.setattr(separate_process, "SECONDS", 1)
    if "::" in name:
        assert open_image(str(tmp_path / name)).shape == (8, 8)
        return
    began = time.monotonic()
    with pytest.raises(SourceError, match="was not opened within"):
        open_image(str(path))
    assert time.monotonic() - began < separate_process.PATIENCE
    assert imaris.recognises(str(path)) is (path.suffix == ".ims")


def test_without_a_python_nothing_is_tried(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a frozen program, `sys.executable` is that program, which would be started again."""
    monkeypatch.setattr("sys.frozen", True, raising=False)
    check_opens(file, file, "a_library", "not_python")
    assert not Path(f"{file}.log").exists()
